"""Settings without a part in a run are named."""

from dataclasses import replace

import pytest

from fewshot.adaptation import Ladder
from fewshot.learners import Prototypical
from fewshot.plan import QUICK, Plan, default_tuners
from fewshot.settings import Settings
from fewshot.training import EncoderTrainer
from fewshot.unused import unused_groups, unused_settings


def plan(**settings) -> Plan:
    return Plan.of(Settings(**settings), Ladder(), Prototypical(8))


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, []),
        ({"queries": 5, "episodes": 100}, []),
        ({"supports": 3, "test_texts": 10}, ["supports=3", "test_texts=10"]),
        ({"minutes": 1.0}, ["minutes=1.0"]),
        ({"ways": None, "supports": 3, "test_texts": 10, "minutes": 1.0}, []),
        ({"ways": None, "queries": 5, "episodes": 100}, ["queries=5", "episodes=100"]),
        ({"ways": None, "episodes": 2}, []),  # fewer supports
        ({"ways": None, "final_stage": "none", "minutes": 1.0}, ["minutes=1.0"]),
    ],
)
def test_settings_that_are_not_looked_at_are_named(asked, named):
    found = unused_settings(plan(**asked), Settings(**asked))
    assert [sentence.split(" has no part in this run, ")[0] for sentence in found] == named


OTHER = EncoderTrainer(steps=7)


@pytest.mark.parametrize(
    ("asked", "trainable", "trainers", "named"),
    [
        ("auto", "full", (EncoderTrainer(), QUICK), []),
        ("auto", "full", (None, OTHER), []),
        ("auto", "full", (OTHER, None), ["encoder_training"]),
        ("full", "full", (OTHER, None), []),
        ("full", "full", (None, OTHER), ["quick_training"]),
        ("none", "none", (OTHER, OTHER), ["encoder_training", "quick_training"]),
    ],
)
def test_the_training_of_the_encoder_that_does_not_run_is_named(asked, trainable, trainers, named):
    found = unused_groups(plan(), asked, trainable, *trainers, None)
    assert [sentence.split()[4] for sentence in found] == named


def test_tuners_of_other_final_stages_are_named():
    tuners = {name: replace(tuner, margin=9.0) for name, tuner in default_tuners().items()}

    def named(**settings):
        return [sentence.split()[4] for sentence in unused_groups(plan(**settings), "none", "none", None, None, tuners)]

    assert named(shots=64) == ["adaptation.light", "adaptation.adapter", "adaptation.full"]
    assert named(ways=None) == ["adaptation.light", "adaptation.lora", "adaptation.adapter", "adaptation.full"]
    assert named() == [f"adaptation.{name}" for name in tuners]
    assert not unused_groups(plan(), "none", "none", None, None, default_tuners())
