import math

import pytest
import torch

from fewshot.errors import ConfigError
from fewshot.fitted.prediction_sets import members, nonconformity, threshold


def test_the_threshold_is_the_rank_that_covers_one_more_text():
    scores = torch.linspace(0.1, 0.9, 9)
    assert threshold(scores, 0.8) == pytest.approx(0.8)  # the 8th of 9: ceil(10 * 0.8)
    assert threshold(scores, 0.5) == pytest.approx(0.5)
    assert threshold(scores, 0.95) == math.inf  # 9 texts cannot say so much
    assert threshold(scores[:0], 0.5) == math.inf


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, 1.5])
def test_a_coverage_outside_of_0_to_1_is_refused(coverage):
    with pytest.raises(ConfigError, match="expected a number between 0 and 1"):
        threshold(torch.zeros(3), coverage)


def test_the_most_probable_label_is_always_in_the_set():
    probabilities = torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.35, 0.25]])
    assert members(probabilities, 0.0).tolist() == [[True, False, False]] * 2
    assert members(probabilities, 0.7).tolist() == [[True, True, False], [True, True, False]]
    assert members(probabilities, math.inf).all()


def test_new_texts_are_covered_as_often_as_asked():
    generator = torch.Generator().manual_seed(0)
    covered = []
    for _ in range(200):
        logits = torch.randn(140, 5, generator=generator)
        probabilities = (2 * logits).softmax(-1)
        classes = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
        largest = threshold(nonconformity(probabilities[:40], classes[:40]), 0.8)
        inside = members(probabilities[40:], largest).gather(1, classes[40:, None])
        covered.append(inside.float().mean())
    assert 0.79 < torch.stack(covered).mean() < 0.84
