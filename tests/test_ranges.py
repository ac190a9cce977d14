"""Settings out of range: all are named at once, each is refused by itself, and None and words are looked up."""

from dataclasses import fields

import pytest

from fewshot.errors import ConfigError, to_type
from fewshot.training import EncoderMAMLTrainer, EncoderTrainer, LoopSettings, MetaTrainer

LOOP = {
    "steps": -1,
    "evaluate_every": 0,
    "patience": -2,
    "warmup": 1.5,
    "max_gradient_norm": 0.0,
    "accumulate": 0,
    "checkpoint_seconds": -1.0,
}
EPISODIC = {"ways": 1, "shots": (-1, 5), "queries": 0, "scalar_learning_rate": -1.0, "learning_rate": 0.0}
WRONG = {
    LoopSettings: LOOP,
    MetaTrainer: {**LOOP, **EPISODIC, "episodes_per_step": 0, "weight_decay": -0.1, "support_noise": 1.5},
    EncoderMAMLTrainer: {**LOOP, **EPISODIC, "episodes_per_step": 0},
    EncoderTrainer: {
        **LOOP,
        **EPISODIC,
        "layer_decay": 0.0,
        "interpolation": (),
        "alignment_weight": 1.0,
        "contrastive_weight": -1.0,
    },
}
ONE = [(kind, name, value) for kind, wrong in WRONG.items() for name, value in wrong.items()]
ONE += [(MetaTrainer, "shots", ()), (MetaTrainer, "ways", 0), (EncoderTrainer, "shots", (0, 1))]
ONE += [(LoopSettings, name, float("nan")) for name in ("warmup", "max_gradient_norm", "checkpoint_seconds")]
ONE += [(MetaTrainer, name, float("nan")) for name in ("support_noise", "learning_rate")]


@pytest.mark.parametrize(("kind", "wrong"), WRONG.items(), ids=lambda given: getattr(given, "__name__", ""))
def test_settings_out_of_range_are_named_all_at_once(kind, wrong):
    with pytest.raises(ConfigError) as caught:
        kind(**wrong)
    got = str(caught.value).partition(" Expected ")[0]
    assert [name for name in wrong if f"{kind.GROUP}.{name}={to_type(wrong[name])}" not in got] == []


@pytest.mark.parametrize(("kind", "name", "value"), ONE)
def test_one_setting_out_of_range_is_named_alone(kind, name, value):
    with pytest.raises(ConfigError) as caught:
        kind(**{name: value})
    assert str(caught.value).count(f"{kind.GROUP}.") == 2  # and once in the example
    assert str(caught.value).startswith(f"Got {kind.GROUP}.{name}={to_type(value)}. Expected ")


def test_what_is_expected_is_said_once_for_all_that_it_is_expected_of():
    with pytest.raises(ConfigError) as caught:
        MetaTrainer(evaluate_every=0, accumulate=-1, steps=-1)
    assert str(caught.value) == (
        "Got training.evaluate_every=0, training.accumulate=-1, training.steps=-1. Expected a positive number for "
        "evaluate_every, accumulate; a number of 0 or more for steps. Write training.evaluate_every=10 "
        "training.accumulate=1 training.steps=300, for example."
    )


@pytest.mark.parametrize(("name", "word"), [("schedule", "exponential"), ("precision", "float16")])
def test_a_word_that_is_none_of_the_choices_lists_them(name, word):
    settings = object.__new__(LoopSettings)
    for field in fields(LoopSettings):
        object.__setattr__(settings, field.name, word if field.name == name else field.default)
    assert list(settings.out_of_range()) == [name]
    assert settings.out_of_range()[name].startswith("one of ")


def test_the_smallest_settings_and_null_are_accepted():
    MetaTrainer(steps=0, patience=0, weight_decay=0.0, ways=2, shots=(1,), queries=1, support_noise=0.0)
    LoopSettings(max_gradient_norm=None, checkpoint_seconds=None)


def test_an_adversary_by_itself_is_no_loss():
    with pytest.raises(ConfigError, match="one weight above 0, beside adversarial_weight"):
        EncoderTrainer(task_weight=0.0, adversarial_weight=1.0)
