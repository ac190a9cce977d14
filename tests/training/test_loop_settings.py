"""Settings of the loop: what is refused, and what has a part in the weights."""

from dataclasses import fields, replace

import pytest

from fewshot.errors import ConfigError
from fewshot.training import LoopSettings, MetaTrainer

WRONG = {
    "steps": -1,
    "evaluate_every": 0,
    "patience": -2,
    "warmup": 1.5,
    "max_gradient_norm": 0.0,
    "accumulate": 0,
    "checkpoint_seconds": -1.0,
}


def test_settings_out_of_range_are_named_all_at_once():
    with pytest.raises(ConfigError) as caught:
        LoopSettings(**WRONG)
    message = str(caught.value)
    assert [name for name, value in WRONG.items() if f"training.{name}={value}" not in message] == []


@pytest.mark.parametrize("name", WRONG)
def test_one_setting_out_of_range_is_named_alone(name):
    with pytest.raises(ConfigError) as caught:
        MetaTrainer(**{name: WRONG[name]})
    assert str(caught.value).count("training.") == 1


@pytest.mark.parametrize("name", ["warmup", "max_gradient_norm", "checkpoint_seconds"])
def test_nan_is_refused(name):
    with pytest.raises(ConfigError, match=f"training.{name}=nan"):
        LoopSettings(**{name: float("nan")})


@pytest.mark.parametrize(("name", "word"), [("schedule", "exponential"), ("precision", "float16")])
def test_a_word_that_is_none_of_the_choices_lists_them(name, word):
    settings = object.__new__(LoopSettings)
    for field in fields(LoopSettings):
        object.__setattr__(settings, field.name, word if field.name == name else field.default)
    assert list(settings.out_of_range()) == [name]
    assert settings.out_of_range()[name].startswith("one of ")


def test_null_is_accepted_where_it_means_none():
    settings = LoopSettings(max_gradient_norm=None, checkpoint_seconds=None)
    assert settings.out_of_range() == {}


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
