import math

import numpy as np
import pytest
import torch

from fewshot.evaluation import class_distances
from tests.synthetic import seeded


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
