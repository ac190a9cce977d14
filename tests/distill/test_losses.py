"""The loss against NumPy, and the tensors that reach it."""

import numpy as np
import pytest
import torch

from fewshot.distill import LossWeights, distillation_loss
from fewshot.distill.losses import token_loss


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_loss_is_its_formula():
    student, teacher = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    s, t = unit(student.numpy()), unit(teacher.numpy())
    cosine = np.mean([1 - s[i] @ t[i] for i in range(6)])
    similarity = np.mean([(s[i] @ s[j] - t[i] @ t[j]) ** 2 for i in range(6) for j in range(6)])
    loss = distillation_loss(student, teacher, torch.tensor(0.25, dtype=torch.float64), LossWeights(3.0, 2.0))
    assert loss.item() == pytest.approx(cosine + 3 * similarity + 2 * 0.25)


def test_a_student_that_is_its_teacher_has_no_loss():
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert distillation_loss(5 * features, features, torch.tensor(0.0), LossWeights()).item() == pytest.approx(
        0, abs=1e-6
    )


def test_padding_has_no_part_in_the_token_loss():
    student, teacher = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    loss = token_loss(student, teacher, mask)
    expected = (student - teacher)[mask].square().sum() / teacher[mask].square().sum()
    assert loss.item() == pytest.approx(expected.item())
    changed = student.masked_fill(~mask[..., None], 100.0)
    assert token_loss(changed, teacher, mask).item() == pytest.approx(loss.item())
