"""Global generators are seeded inside of the block and as they were behind it."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from fewshot.augment.global_randomness import seeded


def state():
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        np.random.get_state()[2],
        torch.get_rng_state().tolist(),
    )


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_the_same_seed_gives_the_same_draws(seed):
    with seeded(seed):
        once = draw()
    draw()
    with seeded(seed):
        assert draw() == once
    with seeded(seed + 1 if seed < 100 else seed - 1):
        other = draw()
    assert all(a != b for a, b in zip(once, other, strict=True))


def test_what_was_there_is_put_back():
    before = state()
    with seeded(1):
        draw()
        assert state() != before
    assert state() == before


def test_it_is_put_back_after_an_error_too():
    before = state()
    with pytest.raises(ZeroDivisionError), seeded(1):
        draw()[0] / 0
    assert state() == before


def test_blocks_can_be_nested():
    with seeded(1):
        expected = [draw(), draw()]
    with seeded(1):
        drawn = [draw()]
        with seeded(2):
            draw()
        drawn.append(draw())
    assert drawn == expected


# In a process of its own, as in a user's: here the checks of annotations draw from `random` too.
SOURCES = """
import random, numpy, torch
from fewshot.augment.nlpaug_source import NlpaugSource
from fewshot.augment.source import AugmentRequest
from fewshot.augment.synonym import Synonym
from fewshot.errors import FewshotError

class Draws:
    def augment(self, data, n):
        drawn = f"{random.random()} {numpy.random.rand()} {torch.rand(1)}"
        return [drawn] if "fails" not in data else 1 / 0

def state():
    return random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist()

request = AugmentRequest(("I need to buy a car", "it fails"), most=20)
before = state()
made = Synonym().propose(request)
assert len(made[0]) > 5 and state() == before
first = NlpaugSource(Draws()).propose(AugmentRequest(request.texts[:1], most=1))
assert state() == before
random.random(), numpy.random.rand(), torch.rand(1)
before = state()
assert NlpaugSource(Draws()).propose(AugmentRequest(request.texts[:1], most=1)) == first
try:
    NlpaugSource(Draws()).propose(request)
except FewshotError:
    print("failed,", "untouched" if state() == before else "touched")
"""


def test_the_sources_leave_the_users_state_as_it_was():
    done = subprocess.run([sys.executable, "-c", SOURCES], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("failed, untouched\n", "")
