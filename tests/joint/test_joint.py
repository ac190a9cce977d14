"""Several tasks at once: their weights, and a projection that both share."""

import pytest
import torch

from fewshot.episodes import LabelledTexts
from fewshot.errors import ConfigError
from fewshot.joint import WEIGHTINGS, JointTraining, TaskWeights
from fewshot.joint.weights import divergence
from tests.adaptation.conftest import coloured
from tests.fakes import FakeEncoder


def logs(*rows):
    return torch.tensor(rows).log()


def test_a_task_that_stands_still_weighs_less():
    weights = TaskWeights(2, "dynamic")
    weights.observe([logs([0.5, 0.5]), logs([0.5, 0.5])])
    assert weights.weights.tolist() == [1, 1]
    weights.observe([logs([0.5, 0.5]), logs([0.9, 0.1])])
    assert weights.weights.tolist() == pytest.approx([2 * 0.1 / 2.1, 2 * 2 / 2.1])
    weights.observe([logs([0.9, 0.1]), logs([0.5, 0.5])])
    one, two = divergence(logs([0.9, 0.1]), logs([0.5, 0.5])), divergence(logs([0.5, 0.5]), logs([0.9, 0.1]))
    assert weights.weights.tolist() == pytest.approx([float(2 * one / (one + two)), float(2 * two / (one + two))])
    assert float(weights.total(torch.tensor([1.0, 1.0]))) == pytest.approx(2)


def test_divergence_is_that_of_kullback_and_leibler():
    assert float(divergence(logs([0.75, 0.25]), logs([0.5, 0.5]))) == pytest.approx(0.1308, abs=1e-4)
    assert float(divergence(logs([0.75, 0.25]), logs([0.75, 0.25]))) == 0


def test_the_best_uncertainty_is_twice_the_loss():
    weights, losses = TaskWeights(2, "uncertainty"), torch.tensor([0.5, 2.0])
    optimiser = torch.optim.SGD(weights.parameters(), lr=0.2)
    for _ in range(300):
        optimiser.zero_grad()
        weights.total(losses).backward()
        optimiser.step()
    assert weights.log_variance.exp().tolist() == pytest.approx([1.0, 4.0], rel=1e-3)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_tasks_share_a_projection_and_each_is_learnt(weighting):
    tasks = {
        "colours": LabelledTexts.of(*coloured(6)),
        "others": LabelledTexts.of(*coloured(6, seed=1, colours=("grey", "pink"))),
    }
    settings = JointTraining(weighting=weighting, steps=40, batch=16, checkpoint_seconds=None)
    found = settings.fit(FakeEncoder(64), tasks)
    assert {name: own.labels for name, own in found.items()} == {
        "colours": ("blue", "green", "red"),
        "others": ("grey", "pink"),
    }
    one, two = (own.classifier.projection.weight for own in found.values())
    assert torch.equal(one, two)
    for own, colours in zip(found.values(), (("red", "green", "blue"), ("grey", "pink")), strict=True):
        texts, labels = coloured(10, seed=5, colours=colours)
        assert sum(a == b for a, b in zip(own.predict(texts), labels, strict=True)) > 1.5 * len(texts) / len(
            colours
        )  # of chance


def test_a_task_of_which_nothing_can_be_held_out_is_refused():
    with pytest.raises(ConfigError, match=r"Got the tasks \['x'\], expected one or more, each with two texts"):
        JointTraining().fit(FakeEncoder(24), {"x": LabelledTexts.of(["a", "b"], ["a", "b"])})
