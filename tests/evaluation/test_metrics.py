import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch.nn.functional import cross_entropy

from fewshot.evaluation import accuracy, class_distances, expected_calibration_error, fit_temperature, macro_f1
from fewshot.evaluation.metrics import macro_f1_shares
from tests.synthetic import seeded


@pytest.fixture(scope="module")
def guesses():
    """Logits of 40 episodes, a little better than chance, and targets that leave some ways without queries."""
    generator = seeded()
    targets = torch.randint(6, (40, 12), generator=generator)
    logits = torch.randn(40, 12, 6, generator=generator) + torch.nn.functional.one_hot(targets, 6)
    return logits, targets


def logits_of(probabilities):
    return torch.tensor(probabilities, dtype=torch.double).log()


def test_accuracy_is_that_of_each_episode(guesses):
    logits, targets = guesses
    expected = [accuracy_score(t, p) for t, p in zip(targets, logits.argmax(-1), strict=True)]
    np.testing.assert_allclose(accuracy(logits, targets), expected)
    assert 0.3 < np.mean(expected) < 0.7


def test_macro_f1_is_that_of_scikit_learn(guesses):
    logits, targets = guesses
    expected = [
        f1_score(t, p, average="macro", zero_division=0) for t, p in zip(targets, logits.argmax(-1), strict=True)
    ]
    np.testing.assert_allclose(macro_f1(logits, targets), expected)


def test_shares_of_macro_f1_are_its_derivatives_by_the_weights_of_queries(guesses):
    logits, targets = guesses
    shares = macro_f1_shares(logits, targets)
    np.testing.assert_allclose(shares.mean(1), macro_f1(logits, targets))
    truth, found = targets[0].numpy(), logits[0].argmax(-1).numpy()
    for query in range(3):
        weights = np.ones(len(truth))
        weights[query] += 1e-6
        scores = [
            f1_score(truth, found, average="macro", zero_division=0, sample_weight=w)
            for w in (np.ones(len(truth)), weights)
        ]
        expected = scores[0] + len(truth) * (scores[1] - scores[0]) / 1e-6
        assert float(shares[0, query]) == pytest.approx(expected, abs=1e-4)


def test_macro_f1_by_hand():
    """Ways 0 and 1 with two queries each, all guessed to be 0: F1 is 2/3 and 0."""
    logits = torch.tensor([[[2.0, 1.0]] * 4])
    assert macro_f1(logits, torch.tensor([[0, 0, 1, 1]])).tolist() == pytest.approx([1 / 3])
    untested = torch.cat([logits, torch.full((1, 4, 3), -1.0)], dim=-1)
    assert macro_f1(untested, torch.tensor([[0, 0, 1, 1]])).tolist() == pytest.approx([1 / 3])
    assert macro_f1_shares(untested, torch.tensor([[0, 0, 1, 1]])).mean().item() == pytest.approx(1 / 3)


def test_calibration_error_by_hand():
    """Bins of a third: confidences 0.6 (right), 0.6 (wrong) and 0.9 (right), 0.8 (right)."""
    logits = logits_of([[[0.6, 0.4], [0.6, 0.4]], [[0.1, 0.9], [0.2, 0.8]]])
    targets = torch.tensor([[0, 1], [1, 1]])
    # 2/4 * |1.2/2 - 1/2| + 2/4 * |1.7/2 - 2/2| = 0.05 + 0.075
    assert expected_calibration_error(logits, targets, n_bins=3) == pytest.approx(0.125)
    # In one bin the errors of 0.6 and 0.9 cancel: |2.9/4 - 3/4|
    assert expected_calibration_error(logits, targets, n_bins=1) == pytest.approx(0.025)


def test_calibration_error_follows_the_binned_formula(guesses):
    logits, targets = guesses
    p = torch.softmax(logits.double() / 0.7, -1).numpy().reshape(-1, 6)
    right = p.argmax(1) == targets.numpy().ravel()
    bins = np.digitize(p.max(1), np.linspace(0, 1, 16)[1:-1])
    expected = sum(abs(p.max(1)[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    assert expected_calibration_error(logits / 0.7, targets) == pytest.approx(expected)


@pytest.mark.parametrize(("right", "expected"), [(True, 0.0), (False, 1.0)])
def test_full_confidence_is_no_error_where_it_is_right_and_all_error_where_it_is_wrong(right, expected):
    logits = torch.tensor([[[1000.0, 0.0]] * 3])
    targets = torch.tensor([[0 if right else 1] * 3])
    assert expected_calibration_error(logits, targets) == pytest.approx(expected)


def calibrated(seed=0, episodes=400, n_query=50, n_way=5):
    """Logits whose softmax is the distribution that the targets were drawn from."""
    generator = seeded(seed)
    logits = 2 * torch.randn(episodes, n_query, n_way, generator=generator)
    targets = torch.multinomial(logits.softmax(-1).flatten(0, 1), 1, generator=generator)
    return logits, targets.view(episodes, n_query)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0, 20.0])
def test_a_known_temperature_is_found(temperature):
    logits, targets = calibrated()
    found = fit_temperature(temperature * logits, targets)
    assert found == pytest.approx(temperature, rel=0.03)
    assert expected_calibration_error(temperature / found * logits, targets) < 0.01


def test_no_temperature_nearby_is_better():
    logits, targets = calibrated(seed=1, episodes=20)
    found = fit_temperature(5 * logits, targets)

    def loss(temperature):
        return float(cross_entropy(5 * logits.double().flatten(0, 1) / temperature, targets.flatten()))

    assert loss(found) < min(loss(found * 1.02), loss(found / 1.02))


@pytest.mark.parametrize(("right", "bound"), [(True, 0.01), (False, 100.0)])
def test_it_stays_within_its_bounds_where_nothing_or_everything_is_wrong(right, bound):
    logits = torch.tensor([[[5.0, 0.0]] * 8])
    targets = torch.tensor([[0 if right else 1] * 8])
    # All right: any temperature far below 5 has a loss of nothing, so only the bounds are promised.
    found = fit_temperature(logits, targets)
    assert 0.01 <= found <= 100
    assert (found < 1) if right else (found > 90)


def random_texts(n_way=4, per_class=6, dim=5, episodes=3):
    generator = seeded()
    means = torch.randn(episodes, n_way, 1, dim, generator=generator)
    texts = (means + 0.5 * torch.randn(episodes, n_way, per_class, dim, generator=generator)).flatten(1, 2)
    return texts, torch.arange(n_way).repeat_interleave(per_class).expand(episodes, -1)


def test_four_points_by_hand():
    """Classes at x = 0 and x = 6, each with texts at y = -1 and y = 1.

    The mean is (3, 0), so the mean square distance to it is 9 + 1; within a class it is 1, and the means are 6 apart.
    """
    texts = torch.tensor([[[0.0, -1.0], [6.0, 1.0], [0.0, 1.0], [6.0, -1.0]]])
    intra, inter = class_distances(texts, torch.tensor([[0, 1, 0, 1]]))
    assert intra.tolist() == pytest.approx([math.sqrt(1 / 10)])
    assert inter.tolist() == pytest.approx([math.sqrt(36 / 10)])


def test_a_slow_version_agrees_for_each_episode_with_unequal_classes():
    texts, ways = random_texts()
    ways = ways.clone()
    ways[0, :3] = -1
    ways[1, 7] = ways[1, 23] = -1
    intra, inter = class_distances(texts, ways)
    for e in range(3):
        x, y = texts[e][ways[e] >= 0].double().numpy(), ways[e][ways[e] >= 0].numpy()
        spread = np.mean(np.sum((x - x.mean(0)) ** 2, axis=1))
        means = np.stack([x[y == c].mean(0) for c in range(4)])
        within = np.mean(np.sum((x - means[y]) ** 2, axis=1))
        pairs = [np.sum((means[a] - means[b]) ** 2) for a in range(4) for b in range(4) if a != b]
        assert float(intra[e]) == pytest.approx(math.sqrt(within / spread), rel=1e-5)
        assert float(inter[e]) == pytest.approx(math.sqrt(np.mean(pairs) / spread), rel=1e-5)


@pytest.mark.parametrize("n_way", [2, 4, 40])
def test_variance_within_and_between_add_up(n_way):
    """In equal classes 1 = intra^2 + (n - 1) / (2 n) inter^2, as in the analysis of variance."""
    intra, inter = class_distances(*random_texts(n_way=n_way))
    total = intra.square() + (n_way - 1) / (2 * n_way) * inter.square()
    np.testing.assert_allclose(total, 1, rtol=1e-5)
    assert float(intra.min()) > 0.1


def test_neither_scale_nor_place_matters():
    texts, ways = random_texts()
    for ours, theirs in zip(class_distances(texts, ways), class_distances(1000 * texts + 7, ways), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_tighter_classes_have_a_smaller_intra_class_and_a_larger_inter_class_distance():
    texts, ways = random_texts()
    means = torch.stack([texts[:, ways[0] == c].mean(1) for c in range(4)], dim=1)[:, ways[0]]
    loose, tight = class_distances(texts, ways), class_distances((texts + means) / 2, ways)
    assert bool((tight[0] < loose[0]).all())
    assert bool((tight[1] > loose[1]).all())


def test_rows_of_padding_change_nothing():
    texts, ways = random_texts()
    padded = torch.cat([texts, torch.full((3, 2, 5), 50.0)], dim=1)
    marked = torch.cat([ways, torch.full((3, 2), -1)], dim=1)
    for ours, theirs in zip(class_distances(texts, ways), class_distances(padded, marked), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
