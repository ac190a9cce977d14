"""The comparison on held-out texts, against NumPy."""

import numpy as np
import pytest
import torch

from fewshot.adaptation.head_tuner import Comparison


def comparison(gains, losses, same):
    before = torch.tensor([False] * gains + [True] * losses + [True] * same, dtype=torch.bool)
    after = torch.tensor([True] * gains + [False] * losses + [True] * same, dtype=torch.bool)
    return Comparison.of(before, after)


def test_the_standard_error_is_that_of_paired_differences():
    found = comparison(9, 4, 27)
    differences = np.array([1] * 9 + [-1] * 4 + [0] * 27)
    assert found.standard_error == pytest.approx(differences.std() / 40**0.5)
    assert found.before == pytest.approx(31 / 40)
    assert found.after - found.before == pytest.approx(differences.mean())


def test_a_gain_has_to_be_larger_than_chance():
    assert not comparison(5, 4, 91).pays(1.0)
    assert comparison(5, 4, 91).pays(0.0)
    assert comparison(9, 1, 90).pays(2.0)
    assert not comparison(9, 1, 90).pays(3.0)


def test_without_a_gain_nothing_changes_however_small_the_margin():
    assert not comparison(0, 0, 10).pays(0.0)
    assert not comparison(1, 2, 10).pays(0.0)
    assert not comparison(0, 0, 0).pays(0.0)


def test_a_single_text_is_no_gain_to_speak_of():
    assert comparison(1, 0, 23).pays(0.0)
    assert not comparison(1, 0, 23).pays(1.0)
    assert comparison(2, 0, 22).pays(1.0)
