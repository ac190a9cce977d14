"""Drift: p-values that keep their level without it, and are small with it."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency, ks_2samp

from fewshot.serving.drift import Reference, Shift, Window, confidence_shift, feature_shift, label_shift


def rows(n, seed, shift=0.0, dim=8):
    drawn = np.random.default_rng(seed).normal(size=(n, dim))
    drawn[:, 0] += shift
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def mmd_by_loops(first, second, width):
    def mean(a, b, same):
        pairs = [(x, y) for i, x in enumerate(a) for j, y in enumerate(b) if not same or i != j]
        return np.mean([np.exp(-np.square(x - y).sum() / width) for x, y in pairs])

    return mean(first, first, True) + mean(second, second, True) - 2 * mean(first, second, False)


def test_the_discrepancy_is_that_of_the_formula():
    first, second = rows(12, 0), rows(9, 1, shift=1.0)
    both = np.concatenate([first, second])
    distances = [np.square(both[i] - both[j]).sum() for i in range(21) for j in range(i)]
    assert feature_shift(first, second).size == pytest.approx(
        mmd_by_loops(first, second, np.median(distances)), rel=1e-5
    )


def test_p_values_without_drift_are_uniform():
    generator = np.random.default_rng(0)
    texts = [feature_shift(rows(30, 2 * i), rows(40, 2 * i + 1), seed=i).p_value for i in range(60)]
    labels = []
    for i in range(60):
        support, recent = (generator.multinomial(n, [0.5, 0.3, 0.2]).tolist() for n in (15, 200))
        labels.append(label_shift(dict(enumerate(support)), dict(enumerate(recent)), seed=i).p_value)
    for p_values in (texts, labels):
        assert 0.35 < np.mean(p_values) < 0.65
        assert np.mean(np.array(p_values) <= 0.1) < 0.25


def test_a_shift_of_texts_is_seen():
    assert feature_shift(rows(100, 0), rows(100, 1, shift=1.0)).p_value < 0.01


def test_labels_are_tested_as_by_the_chi_square_distribution_where_there_are_many():
    support, recent = {"a": 300, "b": 300, "c": 300}, {"a": 200, "b": 160, "c": 150}
    found = label_shift(support, recent)
    table = [list(support.values()), list(recent.values())]
    assert found.p_value == pytest.approx(chi2_contingency(table).pvalue, abs=0.03)
    assert found.size == pytest.approx(200 / 510 - 1 / 3)


def test_a_label_that_the_support_lacks_is_a_shift():
    assert label_shift({"a": 5, "b": 5}, {"a": 40, "b": 40}).p_value > 0.5
    assert label_shift({"a": 5, "b": 5}, {"c": 80}) == Shift(1.0, 1 / 500)


def test_less_sure_is_a_shift():
    held_out, recent = np.linspace(0.5, 1, 500).tolist(), np.linspace(0.47, 0.97, 400).tolist()
    found, expected = confidence_shift(held_out, recent), ks_2samp(held_out, recent, method="asymp")
    assert found.size == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)
    assert confidence_shift(held_out, np.linspace(0.3, 0.8, 100).tolist()).p_value < 0.01


def test_nothing_is_said_of_few_texts_and_old_ones_leave():
    window = Window(Reference({"a": 8, "b": 8}, tuple(np.linspace(0.5, 1, 60)), rows(16, 0)), "digest")
    for row in rows(49, 1):
        window.add("a", 0.7, row)
    assert window.shifts() == {}
    for row in rows(600, 2, shift=2.0):
        window.add("b", 0.2, row)
    assert len(window) == 500
    found = window.shifts()
    assert set(found) == {"labels", "confidence", "texts"}
    assert found["labels"].size == pytest.approx(0.5)
    assert found["confidence"].size == 1.0
    assert window.n_new == 0
