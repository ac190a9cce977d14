"""Figures of out-of-scope rejection against counting pairs and texts."""

import pytest
import torch

from benchmarks.out_of_scope import over_draws, scored
from benchmarks.scope_scores import auroc, fpr_at_recall
from tests.synthetic import seeded


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    generator = seeded(0)
    inside = torch.randint(0, 9, (50,), generator=generator).float() + 2
    outside = torch.randint(0, 9, (30,), generator=generator).float()
    pairs = inside[:, None] - outside
    assert auroc(inside, outside) == pytest.approx(float(((pairs > 0).double() + 0.5 * (pairs == 0)).mean()))


def test_fpr_counts_in_scope_texts_rejected_with_95_percent_of_the_others():
    outside = torch.arange(101.0)  # 95 % of them are at most 95
    assert fpr_at_recall(torch.tensor([94.0, 95.0, 96.0, 200.0]), outside) == 0.5


def test_a_rejected_text_in_scope_is_wrong_and_a_false_alarm():
    inside, right = torch.tensor([0.1, 0.9, 0.8, 0.7]), torch.tensor([True, True, False, True])
    figures = scored(inside, right, torch.tensor([0.2, 0.6]), threshold=0.5)
    expected = {"in-scope accuracy": 50, "recall": 50, "mean": 50, "precision": 50, "F1": 50, "falsely rejected": 25}
    assert {name: figures[name] for name in expected} == pytest.approx(expected)
    assert figures["best mean"] == pytest.approx(75)  # at 0.65


def test_draws_are_averaged_by_system():
    draws = [{"seed": seed, "system": "a", "F1": value, "head_seconds": 1.0} for seed, value in enumerate((80.0, 84.0))]
    assert over_draws(draws) == [{"system": "a", "F1": "82.0 ± 2.8"}]
