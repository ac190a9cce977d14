import numpy as np
import pytest
import torch
from scipy import stats

from fewshot.evaluation import Estimate, Sample, paired_difference
from fewshot.evaluation.intervals import share_interval
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
    generator, sample = seeded(3), Sample("fixed_test", torch.arange(150).expand(5, -1))
    drawn = [crossed(generator, of_supports) for _ in range(1000)]
    covered = [low <= 0.5 <= high for low, high in (sample.share(hits).interval for hits in drawn)]
    over_supports = [abs(e.mean - 0.5) <= e.ci95 for e in (Estimate.of(hits.mean(1)) for hits in drawn)]
    assert np.mean(covered) > 0.93
    assert np.mean(over_supports) < np.mean(covered)


def draws(kind, n, accuracy, generator):
    """500 draws of n texts, each right or wrong whenever it is asked for, with what they are a sample of."""
    texts = torch.arange(n)
    for _ in range(500):
        right = (torch.rand(n, generator=generator) < accuracy).double()
        if kind == "sampled":  # of classes of five texts; each episode asks for some of them
            asked = torch.stack([torch.randperm(n, generator=generator)[: max(5, n // 4)] for _ in range(60)])
            yield Sample("sampled", asked, asked // 5), right[asked]
        else:
            sample = Sample(kind, texts.expand(5, -1), folds=5 if kind == "cross_validation" else 0)
            yield sample, right.expand(5, -1)


@pytest.mark.parametrize("kind", ["sampled", "fixed_test", "cross_validation"])
@pytest.mark.parametrize("accuracy", [0.6, 0.9, 0.99])
@pytest.mark.parametrize("n", [10, 40, 200])
def test_intervals_cover_other_texts_as_often_as_they_say(kind, n, accuracy):
    generator = seeded(n)
    intervals = [sample.share(hits).interval for sample, hits in draws(kind, n, accuracy, generator)]
    covered = np.mean([low <= accuracy <= high for low, high in intervals])
    assert covered >= 0.92
    assert covered <= 0.99 or n < 40


def test_an_interval_is_that_of_a_share():
    for right, n in ((8, 10), (10, 10), (38, 40), (200, 200)):
        method = "exact" if n < 30 else "wilson"
        expected = stats.binomtest(right, n).proportion_ci(method=method)
        assert share_interval(right / n, 0.0, n) == pytest.approx((expected.low, expected.high))


def test_texts_that_all_agree_leave_room_for_others():
    sample = Sample("fixed_test", torch.arange(3)[None])
    assert sample.share(torch.ones(1, 3)).interval == pytest.approx((0.2924, 1.0), abs=1e-4)
    none = sample.difference(torch.zeros(1, 3))
    assert none.interval == pytest.approx((-0.7076, 0.7076), abs=1e-4)


def test_texts_count_once_however_often_they_are_asked_for():
    hits = torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    once = Sample("fixed_test", torch.arange(4)[None]).difference(hits).interval
    often = Sample("fixed_test", torch.arange(4).expand(9, -1)).difference(hits.expand(9, -1)).interval
    apart = Sample("fixed_test", torch.arange(36).view(9, 4)).difference(hits.expand(9, -1)).interval
    assert often == pytest.approx(once)
    assert apart[1] - apart[0] < 0.5 * (once[1] - once[0])


def test_classes_that_differ_make_the_interval_for_other_classes_wider():
    texts, classes = torch.arange(100)[None], (torch.arange(100) // 20)[None]
    hits = (classes >= 1).double()  # one class of five is never right
    alone, others = (Sample("sampled", texts, given).share(hits).interval for given in (None, classes))
    assert others[1] - others[0] > 2 * (alone[1] - alone[0])


def test_folds_that_share_texts_make_the_interval_wider():
    texts, hits = torch.arange(50).expand(5, -1), (torch.arange(50) % 4 > 0).double().expand(5, -1)
    apart = Sample("fixed_test", texts).difference(hits).interval
    crossed_ = Sample("cross_validation", texts, folds=5).difference(hits)
    ratio = (crossed_.interval[1] - crossed_.interval[0]) / (apart[1] - apart[0])
    assert ratio == pytest.approx((1 / 5 + 5 / 4) ** 0.5)
    assert crossed_.ci95 is None


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
