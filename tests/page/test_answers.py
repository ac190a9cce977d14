"""What is counted of predictions, against counts by hand."""

import pytest
import torch

from fewshot.evaluation import expected_calibration_error
from fewshot.page.answers import Answers, Bin, ClassScores, scores_of
from tests.synthetic import seeded

LABELS, TEXTS = ("a", "b", "c"), [f"text {number}" for number in range(6)]


def answers(targets, predicted, indices=None, confidence=None) -> Answers:
    n = len(targets)
    return Answers(
        LABELS,
        TEXTS,
        torch.arange(n) if indices is None else torch.tensor(indices),
        torch.tensor(targets),
        torch.tensor(predicted),
        torch.full((n,), 0.9) if confidence is None else torch.tensor(confidence),
    )


def test_scores_of_each_class():
    found = answers([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0]).by_class()
    assert [(one.label, one.n) for one in found] == [("a", 3), ("b", 2), ("c", 1)]
    assert found[0].precision == found[0].recall == found[0].f1 == pytest.approx(2 / 3)
    assert (found[1].precision, found[1].recall, found[1].f1) == pytest.approx((2 / 3, 1, 0.8))
    assert found[2] == ClassScores("c", 1.0, None, 0.0, 0.0)  # never predicted, so there is no precision


def test_a_class_that_is_neither_asked_for_nor_given_is_left_out():
    assert [one.label for one in scores_of(LABELS, [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 2.0])] == ["a", "c"]


def test_texts_are_counted_where_each_is_asked_for_equally_often_and_else_answers():
    even = answers([0, 1, 0, 1], [0, 0, 0, 1], indices=[0, 1, 0, 1])
    assert even.even
    assert even.confusion == {(0, 0): 1, (1, 0): 0.5, (1, 1): 0.5}
    odd = answers([0, 0, 1], [0, 1, 1], indices=[0, 0, 1])
    assert not odd.even
    assert odd.confusion == {(0, 0): 1, (0, 1): 1, (1, 1): 1}


def test_pairs_count_both_directions_and_show_the_surest_texts_first():
    found = answers([0, 0, 1, 2, 2, 2], [1, 1, 0, 1, 2, 2], confidence=[0.6, 0.8, 0.9, 0.5, 0.9, 0.9]).pairs()
    assert [(one.first, one.second, one.n_as_second, one.n_as_first) for one in found] == [
        ("a", "b", 2, 1),
        ("b", "c", 0, 1),
    ]
    assert found[0].texts == (("text 1", "a"), ("text 0", "a"), ("text 2", "b"))


def test_wrong_texts_that_are_wrong_most_often_come_first_and_of_these_the_surest():
    found = answers(
        [0, 0, 1, 1, 2, 2],
        [1, 0, 0, 0, 0, 0],
        indices=[0, 0, 1, 1, 2, 2],
        confidence=[0.99, 0.9, 0.6, 0.8, 0.7, 0.9],
    ).wrong()
    assert [(one.index, one.n_wrong, one.n_tested) for one in found] == [(2, 2, 2), (1, 2, 2), (0, 1, 2)]
    assert [one.predicted for one in found] == ["a", "a", "b"]
    assert found[0].confidence == pytest.approx(0.8)


def test_bins_of_the_confidence_add_up_to_the_calibration_error():
    generator = seeded()
    logits = torch.randn(1, 200, 3, generator=generator, dtype=torch.double)
    targets = torch.randint(3, (1, 200), generator=generator)
    confidence, predicted = logits[0].softmax(-1).max(-1)
    found = Answers(LABELS, ["x"] * 200, torch.arange(200), targets[0], predicted, confidence).reliability()
    assert sum(one.n for one in found) == 200
    gap = sum(one.n * abs(one.confidence - one.accuracy) for one in found) / 200
    assert gap == pytest.approx(expected_calibration_error(logits, targets), abs=1e-6)


def test_a_bin_has_its_mean_confidence_and_share_that_is_right():
    found = answers([0, 0, 1], [0, 1, 1], confidence=[0.95, 0.97, 0.5]).reliability()
    assert found[0] == Bin(1.0, 0.5, 1.0)
    assert (found[1].n, found[1].confidence, found[1].accuracy) == pytest.approx((2, 0.96, 0.5))
