"""The plane of a map."""

import pytest
import torch

from fewshot.page.map import MOST_POINTS, map_of
from tests.synthetic import seeded

LABELS = ("a", "b", "c")


def test_axes_are_those_of_the_largest_variance():
    features = torch.zeros(60, 5)
    features[:, 3] = 5 * torch.randn(60, generator=seeded(1))
    features[:, 1] = 2 * torch.randn(60, generator=seeded(2))
    features[:, 0] = 0.1 * torch.randn(60, generator=seeded(3))
    found = map_of(features, torch.arange(60) % 3, LABELS, [str(n) for n in range(60)], set())
    x = torch.tensor([one.x for one in found.texts])
    centred = features[:, 3] - features[:, 3].mean()
    assert abs(torch.corrcoef(torch.stack([x, centred]))[0, 1]) > 0.999
    assert found.share == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("n", [30, 300])
def test_more_dimensions_than_texts_give_the_same_as_fewer(n):
    flat = torch.randn(n, 4, generator=seeded())
    wide = torch.cat([flat, torch.zeros(n, 60)], 1)  # the other product has the eigenvalues
    classes, texts = torch.arange(n) % 3, ["x"] * n
    one, other = (map_of(each, classes, LABELS, texts, set()) for each in (flat, wide))
    assert [abs(point.x) for point in one.texts] == pytest.approx([abs(point.x) for point in other.texts], abs=1e-3)


def test_marks_texts_that_are_wrong_and_spreads_what_is_shown():
    n = 2 * MOST_POINTS
    found = map_of(torch.randn(n, 4, generator=seeded()), torch.arange(n) % 3, LABELS, list(map(str, range(n))), {0})
    assert len(found.texts) == MOST_POINTS
    assert found.n_texts == n
    assert [one.text for one in found.texts if one.wrong] == ["0"]
    assert found.texts[-1].text == str(n - 1)


def test_prototypes_are_the_means_of_all_texts_and_know_their_closest():
    features = torch.tensor([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0], [0.9, 0.1]])
    found = map_of(features, torch.tensor([0, 0, 1, 2]), LABELS, ["w", "x", "y", "z"], set())
    assert [one.label for one in found.prototypes] == ["a", "b", "c"]
    first = [one for one in found.texts if one.label == "a"]
    assert found.prototypes[0].x == pytest.approx(sum(one.x for one in first) / 2, abs=1e-5)
    assert {label: other for label, other, _ in found.closest} == {"a": "c", "b": "c", "c": "a"}
    assert found.closest[0][2] >= found.closest[-1][2]


def test_two_texts_have_no_map():
    assert map_of(torch.eye(2), torch.tensor([0, 1]), LABELS, ["a", "b"], set()) is None
