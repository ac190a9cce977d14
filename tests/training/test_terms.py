"""The terms of an encoder's loss against plain loops and cases worked by hand."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from fewshot.training.terms import alignment, augmentation, consistency, supervised_contrastive
from tests.synthetic import seeded


def unit(n: int, dim: int = 6, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(n, dim, generator=seeded(seed), dtype=torch.float64), dim=-1).float()


def test_contrastive_is_the_papers_sum():
    z, labels = unit(7), torch.tensor([0, 0, 1, 1, 1, 2, 0])
    terms = []
    for i in range(7):
        others = [j for j in range(7) if j != i]
        total = sum(math.exp(float(z[i] @ z[j]) / 0.2) for j in others)
        friends = [j for j in others if labels[j] == labels[i]]
        if friends:
            terms.append(-sum(float(z[i] @ z[p]) / 0.2 - math.log(total) for p in friends) / len(friends))
    assert float(supervised_contrastive(z, labels, 0.2)) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_contrastive_of_two_friends_alone_is_zero():
    assert float(supervised_contrastive(unit(2), torch.tensor([4, 4]))) == pytest.approx(0.0, abs=1e-6)


def test_contrastive_without_any_friends_is_zero_and_differentiable():
    z = unit(3).requires_grad_()
    loss = supervised_contrastive(z, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 0
    assert not z.grad.any()


def test_contrastive_falls_when_classes_draw_together():
    labels = torch.tensor([0, 0, 1, 1])
    apart = torch.eye(4)
    together = torch.eye(4)[[0, 0, 1, 1]]
    assert supervised_contrastive(together, labels) < supervised_contrastive(apart, labels)


def test_consistency_is_zero_where_the_neighbourhoods_agree():
    teacher = unit(5)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=seeded(1)))
    assert float(consistency(teacher @ rotation, teacher)) == pytest.approx(0.0, abs=1e-5)


def test_consistency_is_the_mean_divergence_of_each_row_without_itself():
    ours, theirs, expected = unit(4), unit(4, seed=1), 0.0
    for i in range(4):
        others = [j for j in range(4) if j != i]
        p = torch.stack([theirs[i] @ theirs[j] for j in others]).div(0.3).softmax(0)
        q = torch.stack([ours[i] @ ours[j] for j in others]).div(0.3).softmax(0)
        expected += float((p * (p / q).log()).sum()) / 4
    assert float(consistency(ours, theirs, 0.3)) == pytest.approx(expected, rel=1e-5)


def test_consistency_takes_a_teacher_of_another_width():
    assert float(consistency(unit(4), unit(4, dim=9))) > 0


def test_alignment_is_the_squared_distance_of_the_means():
    ours, theirs = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, -1.0]])
    assert float(alignment(ours, theirs)) == pytest.approx(0.25 + 2.25)
    assert float(alignment(ours, ours)) == 0


def test_augmentation_finds_each_text_by_the_prototype_of_its_variants():
    z, variants, expected = unit(5), unit(15, seed=1).view(5, 3, 6), 0.0
    prototypes = [v.mean(0) / v.mean(0).norm() for v in variants]
    for i in range(5):
        scores = torch.stack([z[i] @ p for p in prototypes]) / 0.2
        expected += float(scores.logsumexp(0) - scores[i]) / 5
    assert float(augmentation(z, variants, 0.2)) == pytest.approx(expected, rel=1e-5)


def test_augmentation_is_log_n_where_all_variants_are_alike_and_small_where_they_are_their_texts():
    z = torch.eye(4)
    assert float(augmentation(z, unit(1).new_ones(4, 2, 4))) == pytest.approx(math.log(4), rel=1e-5)
    assert float(augmentation(z, z[:, None].expand(4, 2, 4))) < 1e-3


def test_gradients_of_augmentation_are_those_of_finite_differences():
    z, variants = (torch.randn(*shape, generator=seeded(2), dtype=torch.double) for shape in ((4, 5), (4, 2, 5)))
    assert torch.autograd.gradcheck(augmentation, (z.requires_grad_(), variants.requires_grad_()))
