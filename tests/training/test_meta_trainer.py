"""The outer loop: steps, looks at the valid classes, the best weights, determinism, settings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot.episodes import sample_episodes
from fewshot.errors import ConfigError
from fewshot.learners import LEARNERS
from fewshot.training import TrainingHistory
from tests.synthetic import seeded
from tests.training.nuisance import (
    DIM,
    FEATURES,
    LABELS,
    META_TRAINED,
    N_CLASSES,
    PER_CLASS,
    TRAIN,
    TRAINER,
    VALID,
    fit,
    mean_accuracy,
    meta_trained,
    pools,
    same,
    spy_on,
    valid_episodes,
)


def test_the_weights_of_the_best_look_are_kept():
    """The weights after `best_step` steps are those of a run that was told to stop there."""
    trainer = replace(TRAINER, learning_rate=0.3, evaluate_every=3, patience=4)
    learner, history = fit(trainer=trainer)
    looks = history.valid_accuracies
    best = max(looks, key=looks.get)
    assert history.best_step == best
    assert 0 < best < history.steps
    shorter, _ = fit(trainer=replace(trainer, steps=best))
    assert same(learner, shorter)
    assert mean_accuracy(learner, FEATURES, valid_episodes()[0]) == pytest.approx(looks[best])


def test_a_training_that_only_harms_leaves_the_start():
    """Steps far too large to be of use."""
    learner, history = fit(trainer=replace(TRAINER, learning_rate=1e6, steps=4, evaluate_every=1))
    assert history.best_step == 0
    assert same(learner, LEARNERS["prototypical"](DIM))


@pytest.mark.parametrize("patience", [1, 2])
def test_it_stops_after_so_many_looks_without_a_better_one(patience):
    trainer = replace(TRAINER, learning_rate=1e6, steps=50, evaluate_every=3, patience=patience)
    _, history = fit(trainer=trainer)
    assert history.steps == 3 * patience
    assert list(history.valid_accuracies) == list(range(0, 3 * patience + 1, 3))
    assert len(history.losses) == history.steps


def test_patience_counts_from_the_best_look():
    trainer = replace(TRAINER, learning_rate=0.3, steps=60, evaluate_every=3, patience=2)
    _, history = fit(trainer=trainer)
    assert history.best_step > 0
    assert history.steps == history.best_step + 6


@pytest.mark.parametrize(("steps", "looks"), [(5, [0, 5]), (10, [0, 10]), (14, [0, 10, 14])])
def test_the_last_step_is_looked_at_too(steps, looks):
    learner, history = fit(trainer=replace(TRAINER, steps=steps))
    assert list(history.valid_accuracies) == looks
    assert history.steps == steps
    assert not same(learner, LEARNERS["prototypical"](DIM))


def test_accuracies_of_several_valid_batches_are_averaged():
    batches = [*valid_episodes(20), sample_episodes(pools(VALID), 10, 6, 1, 3, seeded(5))]
    _, history = fit(trainer=replace(TRAINER, steps=1), valid=batches)
    untrained = LEARNERS["prototypical"](DIM)
    untrained.prepare(torch.stack([FEATURES.texts[c == LABELS].mean(0) for c in TRAIN]))
    start = [mean_accuracy(untrained, FEATURES, batch) for batch in batches]
    assert start[0] != pytest.approx(start[1])
    assert history.valid_accuracies[0] == pytest.approx(np.mean(start))


@meta_trained
def test_the_same_seed_gives_the_same_weights_to_the_bit(name):
    trainer = replace(TRAINER, steps=12, evaluate_every=4, support_noise=0.4)
    (first, history), (second, again), (other, _) = (fit(FEATURES, name, trainer, seed) for seed in (3, 3, 4))
    assert history == again
    assert same(first, second)
    assert not same(first, other)


def test_the_global_generator_has_no_part():
    before = torch.get_rng_state()
    fit(trainer=replace(TRAINER, steps=6, support_noise=0.4))
    assert torch.equal(torch.get_rng_state(), before)


def test_scalars_and_matrices_have_their_own_rates():
    """AdamW's first step is the rate itself, whatever the gradient."""
    trainer = replace(TRAINER, steps=1, evaluate_every=1, learning_rate=0.01, scalar_learning_rate=0.5)
    valid = valid_episodes()
    start, learner = LEARNERS["prototypical"](DIM), LEARNERS["prototypical"](DIM)
    trainer.fit(learner, FEATURES, [pools(TRAIN)], valid, 0)
    if same(start, learner):
        pytest.fail("the first step was not better, so that it was not kept: choose another seed")
    assert abs(float((learner.log_scale - start.log_scale).detach())) == pytest.approx(0.5, rel=1e-3)
    assert float(learner.projection.weight.detach().abs().median()) == pytest.approx(0.01, rel=1e-2)


def test_decay_pulls_the_map_back_to_the_identity_and_leaves_scalars():
    free, held = (fit(trainer=replace(TRAINER, steps=40, weight_decay=decay))[0] for decay in (0.0, 5.0))
    assert float(held.projection.weight.detach().norm()) < 0.7 * float(free.projection.weight.detach().norm())


# Nothing to do.


@pytest.mark.parametrize("name", sorted(set(LEARNERS) - set(META_TRAINED)))
def test_a_learner_without_parameters_is_left_alone_and_nothing_is_looked_at(name):
    spy = spy_on(refused=range(N_CLASSES))
    learner = LEARNERS[name](DIM)
    before = {key: value.clone() for key, value in learner.state_dict().items()}
    assert TRAINER.fit(learner, spy, [pools(TRAIN)], valid_episodes(), 0) == TrainingHistory()
    assert all(torch.equal(value, before[key]) for key, value in learner.state_dict().items())


@meta_trained
def test_no_steps_leave_the_learner_as_it_is(name):
    learner, history = fit(FEATURES, name, replace(TRAINER, steps=0))
    assert history == TrainingHistory(steps=0, best_step=0, losses=[], valid_accuracies={})
    assert same(learner, LEARNERS[name](DIM))


def test_one_train_class_leaves_the_learner_as_it_is():
    learner = LEARNERS["prototypical"](DIM)
    assert TRAINER.fit(learner, FEATURES, [pools([0])], valid_episodes(2), 0) == TrainingHistory()
    assert same(learner, LEARNERS["prototypical"](DIM))


@pytest.mark.parametrize("name", ["prototypical", "attention_prototypical", "maml"])
def test_no_shots_without_label_names_are_refused(name):
    with pytest.raises(ConfigError, match=r"training\.shots=\[0, 5\] without label names.*Leave out the 0"):
        fit(FEATURES, name, replace(TRAINER, shots=[0, 5]))


def test_a_small_train_class_that_shortens_all_episodes_is_told(caplog):
    def told(**settings):
        caplog.clear()
        with caplog.at_level("INFO"):
            fit(FEATURES, "prototypical", replace(TRAINER, steps=1, **settings))
        return f"the smallest train class has {PER_CLASS} texts" in caplog.text

    assert told(shots=[1, PER_CLASS], queries=2)
    assert not told(shots=[1, PER_CLASS - 2], queries=2)


def test_what_an_inner_loop_fine_tunes_is_neither_pulled_to_zero_nor_given_the_rate_of_scalars():
    learner = LEARNERS["maml"](DIM, hidden=4, adapts="network", rates="learned")
    matrices, network, scalars = replace(TRAINER, weight_decay=1.0, learning_rate=3e-4)._groups(learner)
    own = dict(learner.named_parameters())
    assert [id(p) for p in matrices["params"]] == [id(own["projection.weight"])]
    assert {id(p) for p in network["params"]} == {id(p) for p in learner.first.parameters()}
    assert (network["lr"], network["weight_decay"]) == (3e-4, 0.0)
    assert {id(p) for p in scalars["params"]} == {id(own["log_scale"]), *map(id, learner.rates.parameters())}
