"""Settings of the loop, and what a learner is shown in meta-training."""

from dataclasses import fields, replace

import pytest
import torch

from fewshot.errors import TaskError
from fewshot.learners import LEARNERS
from fewshot.tasks.task import ClassPools
from fewshot.training import LoopSettings, MetaTrainer
from tests.training.nuisance import DIM, FEATURES, N_CLASSES, TRAIN, TRAINER, fit, meta_trained, spy_on, valid_episodes


def test_what_determines_the_weights_is_everything_but_where_they_are_written():
    settings = MetaTrainer()
    found = settings.determining()
    assert set(found) == {field.name for field in fields(MetaTrainer)} - {"checkpoint_seconds", "tensorboard"} | {
        "class"
    }
    assert replace(settings, checkpoint_seconds=None, tensorboard=True).determining() == found
    assert replace(settings, steps=7).determining() != found


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 1.0])
def test_no_step_is_wasted_on_a_rate_of_zero(schedule, warmup):
    settings = LoopSettings(steps=30, schedule=schedule, warmup=warmup)
    shares = [settings.rate_share(step) for step in range(1, 31)]
    assert min(shares) > 0
    assert max(shares) == 1


@meta_trained
def test_test_classes_are_never_looked_at(name):
    spy = spy_on()
    fit(spy, name, replace(TRAINER, steps=12, support_noise=0.4))
    assert len(spy.asked) == 12
    assert spy.embedded_batches > 0


def test_the_spy_would_have_noticed():
    with pytest.raises(AssertionError, match="a test class was looked at"):
        fit(spy_on(refused=[20]))


def test_shots_are_taken_in_turn_and_all_classes_are_ways():
    spy = spy_on()
    fit(spy, trainer=replace(TRAINER, steps=6, episodes_per_step=3, shots=(1, 4), queries=7), valid=valid_episodes(2))
    training = [asked for asked in spy.asked if asked[3] == 3]
    assert sorted(training) == [(24, 1, 7, 3)] * 3 + [(24, 4, 7, 3)] * 3
    assert [asked[1] for asked in training[:2]] in ([1, 4], [4, 1])


@pytest.mark.parametrize(("ways", "expected"), [(5, 5), (24, 24), (100, 24), (None, 24)])
def test_ways_are_limited_by_the_train_classes(ways, expected):
    spy = spy_on()
    fit(spy, trainer=replace(TRAINER, steps=2, ways=ways, episodes_per_step=3), valid=valid_episodes(2))
    assert {asked[0] for asked in spy.asked if asked[3] == 3} == {expected}


@pytest.mark.parametrize(
    ("smallest", "shots", "queries", "expected"),
    [(30, 10, 5, (10, 5)), (12, 10, 5, (7, 5)), (6, 10, 5, (1, 5)), (4, 10, 5, (1, 3)), (2, 10, 5, (1, 1))],
)
def test_small_classes_clip_queries_first_to_leave_one_shot_then_shots(smallest, shots, queries, expected):
    spy = spy_on()
    labels = torch.arange(N_CLASSES).repeat_interleave(30)
    labels[smallest:30] = -1  # of class 0 only so many texts are left
    train = ClassPools.from_labels(labels, TRAIN)
    trainer = replace(TRAINER, steps=1, shots=(shots,), queries=queries, episodes_per_step=3)
    trainer.fit(LEARNERS["prototypical"](DIM), spy, [train], valid_episodes(2), 0)
    [asked] = [asked for asked in spy.asked if asked[3] == 3]
    assert asked[1:3] == expected


def test_a_train_class_of_one_text_is_named():
    labels = torch.arange(N_CLASSES).repeat_interleave(30)
    labels[1:30] = -1
    names = [f"class {c}" for c in range(N_CLASSES)]
    train = ClassPools.from_labels(labels, TRAIN, names)
    with pytest.raises(TaskError, match=r"Class 'class 0' has 1 texts, .* = 1 \+ 1 = 2"):
        TRAINER.fit(LEARNERS["prototypical"](DIM), FEATURES, [train], valid_episodes(2), 0)


def test_half_of_the_steps_with_four_or_more_shots_have_wrong_labels(monkeypatch):
    seen = []

    def record(batch, fraction, generator):
        seen.append((batch.k_shot, fraction))
        return batch

    monkeypatch.setattr("fewshot.training.meta_trainer.corrupt_support", record)
    fit(trainer=replace(TRAINER, steps=24, shots=(1, 3, 4, 6), support_noise=0.3), valid=valid_episodes(2))
    assert sorted(seen) == [(4, 0.3)] * 3 + [(6, 0.3)] * 3
