"""Settings of the loop: what has a part in the weights, and the rates."""

from dataclasses import fields, replace

import pytest

from fewshot.training import LoopSettings, MetaTrainer


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
