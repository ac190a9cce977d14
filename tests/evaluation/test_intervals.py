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


def crossed(generator, of_supports=0.02, of_texts=0.9, n_supports=5, n_texts=150):
    """Hits of supports on the same texts, whose true mean is a half."""
    supports = of_supports * torch.randn(n_supports, 1, generator=generator)
    texts = 0.5 + of_texts * (torch.rand(1, n_texts, generator=generator) - 0.5)
    return (torch.rand(n_supports, n_texts, generator=generator) < supports + texts).double()


@pytest.mark.parametrize("of_supports", [0.0, 0.02, 0.08])
def test_an_interval_over_texts_covers_other_supports_and_other_texts(of_supports):
    generator, texts = seeded(3), torch.arange(150).expand(5, -1)
    drawn = [crossed(generator, of_supports) for _ in range(1000)]
    covered = [abs(e.mean - 0.5) <= e.ci95 for e in (Estimate.over_texts(hits, texts) for hits in drawn)]
    over_supports = [abs(e.mean - 0.5) <= e.ci95 for e in (Estimate.of(hits.mean(1)) for hits in drawn)]
    assert 0.93 < np.mean(covered) < 0.99
    assert np.mean(over_supports) < np.mean(covered)


def test_one_support_has_the_interval_of_a_share():
    hits = torch.tensor([[1.0] * 30 + [0.0] * 10])
    estimate = Estimate.over_texts(hits, torch.arange(40)[None])
    assert estimate.ci95 == pytest.approx(1.959964 * np.std(hits.numpy(), ddof=1) / 40**0.5)
    assert (estimate.mean, estimate.std, estimate.n) == (0.75, None, 1)


def test_texts_that_are_scored_by_one_support_each_count_alone():
    hits = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    apart = Estimate.over_texts(hits, torch.tensor([[0, 1], [2, 3]]))
    same = Estimate.over_texts(hits, torch.tensor([[0, 1], [0, 1]]))
    over_supports = Estimate.of(hits.mean(1)).ci95
    residuals = [0.25, -0.75, 0.25, 0.25]
    of_apart = (4 / 3 * sum(r**2 for r in residuals)) ** 0.5 / 4
    of_same = (2 / 1 * (0.5**2 + 0.5**2)) ** 0.5 / 4
    assert apart.ci95 == pytest.approx(np.hypot(over_supports, 1.959964 * of_apart))
    assert same.ci95 == pytest.approx(np.hypot(over_supports, 1.959964 * of_same))


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
