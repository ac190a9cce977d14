"""Which variants count in an episode, and how much: against loops, and cases worked by hand."""

import math

import numpy as np
import pytest
import torch

from fewshot.errors import ConfigError
from fewshot.features import Variants
from tests.synthetic import seeded

E, W, K, MOST, DIM = 2, 3, 2, 4, 5


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def drawn(margin=0.0):
    generator = seeded(0)
    features = torch.randn(30, DIM, generator=generator) * torch.rand(30, 1, generator=generator).add(0.5)
    rows = torch.randint(-9, 30, (12, MOST), generator=generator).clamp(min=-1)
    texts = torch.randperm(12, generator=generator).view(E, W, K)
    prototypes = torch.nn.functional.normalize(torch.randn(E, W, DIM, generator=generator), dim=-1)
    return Variants(features, rows, margin=margin), texts, prototypes


def test_of_gives_the_rows_of_each_text_and_none_for_no_text():
    variants = Variants(torch.zeros(3, DIM), torch.tensor([[0, 2], [1, -1]]))
    assert variants.of(torch.tensor([[1, 0], [-1, 1]])).tolist() == [[[1, -1], [0, 2]], [[-1, -1], [1, -1]]]
    assert variants.max_variants == 2


@pytest.mark.parametrize("margin", [-2.0, -0.2, 0.0, 0.3])
def test_kept_are_those_nearer_to_their_own_class_by_the_margin(margin):
    variants, texts, prototypes = drawn(margin)
    rows = variants.of(texts)
    kept = variants.kept(rows, prototypes)
    for e, w, k, i in np.ndindex(E, W, K, MOST):
        row = int(rows[e, w, k, i])
        cosine = unit(variants.features[row].numpy()) @ prototypes[e].numpy().T
        own, others = cosine[w], np.delete(cosine, w)
        assert bool(kept[e, w, k, i]) == (row >= 0 and own - others.max() > margin)
    assert bool(kept.any())
    assert int(kept.sum()) < kept.numel()


def test_a_variant_that_is_the_prototype_of_another_class_is_dropped():
    prototypes = torch.eye(2, DIM)[None]
    variants = Variants(torch.eye(2, DIM), torch.tensor([[0, 1], [0, 1]]))
    kept = variants.kept(variants.of(torch.tensor([[[0], [1]]])), prototypes)
    assert kept.tolist() == [[[[True, False]], [[False, True]]]]


def test_a_variant_between_two_prototypes_is_dropped():
    variants = Variants(torch.ones(1, DIM), torch.tensor([[0], [0]]))
    assert not variants.kept(variants.of(torch.tensor([[[0], [1]]])), torch.eye(2, DIM)[None]).any()


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_a_weight_that_is_not_above_zero_is_refused(weight):
    with pytest.raises(ConfigError, match=rf"Got augment\.weight={weight}\. Expected a number above 0"):
        Variants(torch.zeros(1, DIM), torch.zeros(1, 1, dtype=torch.long), weight=weight)


@pytest.mark.parametrize("margin", [-2.1, 2.1, math.nan])
def test_a_margin_that_no_two_cosines_have_is_refused(margin):
    with pytest.raises(ConfigError, match=rf"Got augment\.margin={margin}\. Expected a difference of two cosines"):
        Variants(torch.zeros(1, DIM), torch.zeros(1, 1, dtype=torch.long), margin=margin)


def test_merged_variants_move_a_text_towards_their_mean_and_keep_its_length():
    features = torch.tensor([[0.0, 2.0], [0.0, 4.0], [-9.0, 0.0]])
    variants = Variants(features, torch.tensor([[0, 1, 2], [-1, -1, -1]]), weight=0.5)
    texts = torch.tensor([[[[3.0, 0.0], [1.0, 1.0]]]])
    rows = variants.of(torch.tensor([[[0, 1]]]))
    kept = torch.tensor([[[[True, True, False], [False, False, False]]]])
    moved = variants.merged(texts, rows, kept)
    expected = torch.tensor([3.0, 1.5]) * 3.0 / torch.tensor([3.0, 1.5]).norm()
    assert torch.allclose(moved[0, 0, 0], expected)
    assert torch.equal(moved[0, 0, 1], texts[0, 0, 1])
