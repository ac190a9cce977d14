import numpy as np
import pytest
import torch
from scipy import stats

from fewshot.evaluation import Estimate, paired_difference
from tests.synthetic import seeded


@pytest.mark.parametrize("n", [2, 7, 600])
def test_the_interval_is_that_of_students_t(n):
    values = torch.rand(n, generator=seeded(), dtype=torch.double)
    estimate = Estimate.of(values)
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values.numpy()), scale=stats.sem(values.numpy()))
    assert estimate.mean - estimate.ci95 == pytest.approx(low)
    assert estimate.mean + estimate.ci95 == pytest.approx(high)
    assert estimate.std == pytest.approx(np.std(values.numpy(), ddof=1))
    assert estimate.n == n


def test_the_interval_covers_the_true_mean_as_often_as_it_says():
    values = 3 + torch.randn(2000, 5, generator=seeded(1))
    covered = [abs(e.mean - 3) <= e.ci95 for e in map(Estimate.of, values)]
    assert 0.93 < np.mean(covered) < 0.97


def test_one_episode_has_a_mean_and_no_interval():
    assert Estimate.of(torch.tensor([0.5])) == Estimate(0.5, None, None, 1)


@pytest.mark.parametrize(
    ("estimate", "sign", "text"),
    [
        (Estimate(0.8416, 0.0052, 0.1, 600), False, "84.2 ± 0.5"),
        (Estimate(0.021, 0.004, 0.1, 600), True, "+2.1 ± 0.4"),
        (Estimate(-0.021, 0.004, 0.1, 600), True, "-2.1 ± 0.4"),
        (Estimate(0.5, None, None, 1), False, "50.0"),
    ],
)
def test_in_per_cent(estimate, sign, text):
    assert estimate.percent(sign) == text


def test_a_paired_difference_is_that_of_each_episode():
    ours, theirs = torch.tensor([0.9, 0.5, 0.7]), torch.tensor([0.8, 0.5, 0.4])
    difference = paired_difference(ours, theirs)
    result = stats.ttest_rel(ours.double(), theirs.double()).confidence_interval(0.95)
    assert difference.mean == pytest.approx(0.4 / 3)
    assert difference.mean - difference.ci95 == pytest.approx(result.low)
    assert difference.n == 3


def test_a_paired_interval_is_narrower_where_episodes_are_hard_for_both():
    hard = torch.rand(100, generator=seeded(1))
    better = hard + 0.02 + 0.01 * torch.randn(100, generator=seeded(2))
    difference = paired_difference(better, hard)
    assert difference.ci95 < 0.1 * Estimate.of(hard).ci95
    assert difference.mean - difference.ci95 > 0


def test_other_numbers_of_episodes_are_refused():
    with pytest.raises(ValueError, match="Got 3 and 2 episodes, expected the same ones twice"):
        paired_difference(torch.zeros(3), torch.zeros(2))
