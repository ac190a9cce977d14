import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot.encoders import Encoder
from fewshot.episodes.frozen import EpisodeRequest, draw
from fewshot.errors import ConfigError, TaskError
from fewshot.evaluation import fit_temperature, predict
from fewshot.experiment.episodes import TaskEncoder, valid_episodes
from fewshot.experiment.protocol import Protocol
from fewshot.learners import LEARNERS, AttentionPrototypical, Centroid, Prototypical
from fewshot.randomness import child_generator
from fewshot.training import MetaTrainer, Store, TrainingHistory
from tests.experiments import experiment
from tests.synthetic import small_task

DIM = 16
SETTINGS = Protocol(ways=3, shots=3, queries=4, episodes=60, baselines=())
TRAINER = MetaTrainer(
    steps=20,
    episodes_per_step=8,
    ways=None,
    shots=(1, 3),
    queries=5,
    learning_rate=0.01,
    scalar_learning_rate=0.01,
    weight_decay=0.0,
    evaluate_every=5,
    patience=8,
)


@Encoder.register
class ClusterEncoder:
    """Features of `"<label> <number>"`: a random vector of the label in half of the dimensions, and noise in all.

    Args:
        loud: labels whose texts have four times the noise that others have.
    """

    model, described, trained = "clusters", "clusters", None

    def __init__(self, loud=()):
        self.loud, self.asked = set(loud), []

    def encode(self, texts):
        self.asked.append(list(texts))
        return torch.stack([self._one(text) for text in texts])

    def _one(self, text):
        label = text.split()[0]
        mean, own = (torch.randn(DIM, generator=child_generator(0, name)) for name in (label, f"own {text}"))
        mean[DIM // 2 :] = 0
        own[DIM // 2 :] *= 2  # what training can learn to leave out
        return mean + (3.0 if label in self.loud else 0.7) * own


@pytest.fixture(scope="module")
def task():
    return small_task((16, 4, 5))


def run(task, learner=Centroid, settings=SETTINGS, trainer=TRAINER, encoder=None, folder=None):
    store = Store(episodes=folder)
    return experiment(task, encoder or ClusterEncoder(), learner, trainer, settings, store)


def labels_of(task, part):
    return [task.classes[c] for c in task.parts[part]]


@pytest.fixture(scope="module")
def result(task):
    settings = replace(SETTINGS, baselines=("centroid", "ridge", "prototypical", "attention_prototypical"))
    return run(task, AttentionPrototypical, settings)


def test_the_learner_is_meta_trained_and_beats_chance_on_the_test_classes(task, result):
    assert type(result.model.learner) is AttentionPrototypical
    assert result.trained.history.steps == 20
    assert result.trained.history.best_step > 0
    assert result.evaluation.accuracy.mean - result.evaluation.accuracy.ci95 > 0.45  # chance is a third
    assert set(result.episodes.classes.unique().tolist()) == set(task.parts["test"])


def test_the_scores_are_those_of_the_learner_on_the_episodes(task, result):
    features = TaskEncoder(task, label_names=True)(ClusterEncoder())
    assert torch.equal(predict(result.model.learner, features, result.episodes), result.evaluation.logits)
    assert result.evaluation.temperature == float(result.model.learner.temperature)


def test_the_episodes_are_the_frozen_ones_whatever_the_seed(task, result):
    assert result.episodes.sha256() == draw(task, EpisodeRequest("test", 3, 3, 4, 60)).sha256()
    assert run(task, settings=replace(SETTINGS, seed=5)).episodes.sha256() == result.episodes.sha256()


def test_baselines_are_scored_on_the_same_episodes_and_the_learner_is_not_its_own_baseline(result):
    assert list(result.baselines) == ["centroid", "ridge", "prototypical"]
    for evaluation in result.baselines.values():
        assert evaluation.logits.shape == result.evaluation.logits.shape
        assert evaluation.accuracy.mean > 0.45
        assert evaluation.temperature != 1.0
    assert result.baselines["ridge"].accuracy.mean != result.baselines["centroid"].accuracy.mean


def test_a_baseline_is_trained_as_it_would_be_by_itself(task, result):
    alone = run(task, Prototypical)
    assert torch.equal(alone.evaluation.logits, result.baselines["prototypical"].logits)
    assert alone.evaluation.temperature == result.baselines["prototypical"].temperature


def test_every_phase_is_timed(result):
    assert list(result.timings) == ["encode", "meta_train", "calibrate", "evaluate", "baselines"]
    assert min(result.timings.values()) > 0


def test_the_seed_decides_the_training(task):
    first, again, other = (run(task, Prototypical, replace(SETTINGS, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first.evaluation.logits, again.evaluation.logits)
    assert first.trained.history == again.trained.history != other.trained.history


class Projecting(MetaTrainer):
    """A training after which the learner leaves some dimensions out."""

    rows = slice(0, 0)

    def fit(self, learner, *_):
        with torch.no_grad():
            learner.projection.weight[self.rows] = -torch.eye(DIM)[self.rows]  # added to the features
        return TrainingHistory(steps=1)


class WithoutNoise(Projecting):
    rows = slice(DIM // 2, DIM)


class WithoutClasses(Projecting):
    rows = slice(0, DIM // 2)


@pytest.mark.parametrize(("trainer", "kept"), [(WithoutNoise(), True), (WithoutClasses(), False)])
def test_a_training_is_kept_if_it_surely_gains_on_valid_classes(trainer, kept):
    alone = replace(SETTINGS, shots=1, label_names=False)
    learner = run(small_task((16, 12, 5)), Prototypical, alone, trainer).model.learner
    assert bool(learner.projection.weight[trainer.rows].any()) is kept


def test_no_test_text_changes_the_learner_or_its_temperature(task):
    quiet = run(task, AttentionPrototypical)
    loud = run(task, AttentionPrototypical, encoder=ClusterEncoder(labels_of(task, "test")))
    weights = quiet.model.learner.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in loud.model.learner.state_dict().items())
    assert loud.trained.history == quiet.trained.history
    assert loud.evaluation.accuracy.mean < quiet.evaluation.accuracy.mean - 0.1


@pytest.mark.parametrize(("part", "matters"), [("train", False), ("valid", True), ("test", False)])
def test_calibration_depends_on_valid_classes_only(task, part, matters):
    quiet, loud = run(task), run(task, encoder=ClusterEncoder(labels_of(task, part)))
    assert (loud.evaluation.temperature != quiet.evaluation.temperature) is matters


def test_the_temperature_is_that_of_the_valid_episodes(task):
    def overconfident(dim):
        return Centroid(dim, scale=100.0)

    result = run(task, overconfident)
    features = TaskEncoder(task, label_names=True)(ClusterEncoder())
    [batch, _] = valid_episodes(task, SETTINGS.resolved(task), purpose="calibration")
    assert batch.sha256() != valid_episodes(task, SETTINGS.resolved(task))[0].sha256()  # that select what is trained
    expected = fit_temperature(predict(overconfident(DIM), features, batch), batch.targets)
    assert result.evaluation.temperature == pytest.approx(expected)
    assert expected > 2
    assert result.evaluation.ece(calibrated=True) < result.evaluation.ece(calibrated=False)


def test_valid_episodes_are_as_the_test_episodes_and_with_all_valid_classes(task):
    five, everything = valid_episodes(task, SETTINGS)
    assert (five.n_way, five.k_shot, len(five)) == (3, 3, 300)
    assert (everything.n_way, everything.k_shot) == (4, 3)
    assert set(five.classes.unique().tolist()) == set(task.parts["valid"])
    [batch] = valid_episodes(task, replace(SETTINGS, ways=None))
    assert batch.n_way == 4


@pytest.mark.parametrize(("per_class", "expected"), [(12, (7, 5)), (6, (1, 5)), (3, (1, 2)), (2, (1, 1))])
def test_valid_episodes_are_clipped_to_small_classes(per_class, expected):
    batch = valid_episodes(small_task((6, 4, 5), per_class), replace(SETTINGS, shots=20))[0]
    assert (batch.k_shot, batch.n_query) == expected


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_runs_with_and_without_label_names(task, name):
    trainer = replace(TRAINER, steps=2)
    found = []
    for label_names in (True, False):
        encoder = ClusterEncoder()
        result = run(task, LEARNERS[name], replace(SETTINGS, label_names=label_names, shots=1), trainer, encoder)
        assert encoder.asked == [[*task.texts, *(task.label_names if label_names else ())]]
        found.append(result.evaluation.accuracy.mean)
    assert found[0] > found[1] > 1 / 3  # with one shot, a name is worth as much as a text


def test_all_ways_use_every_test_class_in_every_episode(task):
    result = run(task, settings=replace(SETTINGS, ways=None, protocol="sampled"))
    assert result.evaluation.logits.shape == (60, 20, 5)
    assert torch.equal(result.episodes.classes.sort(-1).values, torch.tensor(task.parts["test"]).expand(60, 5))


@pytest.mark.parametrize("name", LEARNERS)
def test_realistic_episodes_have_unequal_support(task, name):
    result = run(task, LEARNERS[name], replace(SETTINGS, realistic=True), replace(TRAINER, steps=2))
    assert len(result.episodes.support_mask.sum(-1).unique()) > 2
    assert result.evaluation.accuracy.mean > 0.4


def test_wrong_labels_in_the_support_cost_accuracy(task):
    clean, noisy = (run(task, settings=replace(SETTINGS, support_noise=noise)) for noise in (0.0, 0.4))
    own = task.labels[noisy.episodes.support] == noisy.episodes.classes[..., None]
    assert torch.equal((~own).sum(-1), torch.ones(60, 3, dtype=torch.long))  # round(0.4 * 3)
    assert torch.equal(noisy.episodes.query, clean.episodes.query)
    assert noisy.evaluation.accuracy.mean < clean.evaluation.accuracy.mean - 0.05
    again = run(task, settings=replace(SETTINGS, support_noise=0.4))
    assert again.episodes.sha256() == noisy.episodes.sha256()


def test_episodes_are_kept_where_a_folder_is_given(task, tmp_path):
    result = run(task, folder=tmp_path)
    [path] = tmp_path.rglob("*.safetensors")
    assert path.name == "test-3way-3shot-4query-60.safetensors"
    before = path.stat().st_mtime_ns
    assert run(task, folder=tmp_path).episodes.sha256() == result.episodes.sha256()
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("sizes", [(6, 1, 5), (1, 4, 5)])
def test_too_few_classes_to_train_or_select_on_leave_the_learner_untrained_with_a_warning(caplog, sizes):
    task = small_task(sizes)
    with caplog.at_level(logging.WARNING, logger="fewshot"):
        result = run(task, Prototypical)
    assert caplog.messages == [
        "prototypical network is used untrained: meta-training needs two train and two valid classes, got "
        f"{sizes[0]} and {sizes[1]}"
    ]
    assert result.trained.history == TrainingHistory()
    assert float(result.model.learner.projection.weight.detach().abs().max()) == 0
    assert result.evaluation.accuracy.mean > 0.4
    assert (result.evaluation.temperature == 1.0) is (sizes[1] == 1)


def test_a_learner_that_is_never_trained_gives_no_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="fewshot"):
        run(small_task((6, 1, 5)), Centroid)
    assert caplog.messages == []


def test_labels_that_are_only_numbers_are_refused_before_anything_is_encoded(task):
    numbered = replace(task, label_names=("17", *task.label_names[1:]))
    encoder = ClusterEncoder()
    with pytest.raises(TaskError, match=r"The label 'label00' has no words.* set label_names=false"):
        run(numbered, encoder=encoder)
    assert encoder.asked == []
    assert run(numbered, settings=replace(SETTINGS, label_names=False)).evaluation.accuracy.mean > 0.4


def test_one_test_class_is_refused():
    with pytest.raises(ConfigError, match="The task 'small' has 1 test class, but an episode needs two or more"):
        run(small_task((6, 4, 1)))


def test_a_description_is_encoded_with_its_name(task):
    described = replace(task, descriptions=("the first of all", *[""] * 24))
    encoder = ClusterEncoder()
    features = TaskEncoder(described, label_names=True)(encoder)
    assert encoder.asked[0][len(task.texts)] == "label00: the first of all"
    assert features.texts.shape == (300, DIM)
    expected = ClusterEncoder().encode(task.label_names[1:])
    expected = expected / expected.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(features.label_names[1:], expected, rtol=1e-6)
