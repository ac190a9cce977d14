"""The loss against NumPy, and the tensors that reach it."""

import numpy as np
import pytest
import torch

from fewshot.distill import imitation_loss


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_the_loss_is_its_formula():
    student, teacher = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    s, t = unit(student.numpy()), unit(teacher.numpy())
    cosine = np.mean([1 - s[i] @ t[i] for i in range(6)])
    similarity = np.mean([(s[i] @ s[j] - t[i] @ t[j]) ** 2 for i in range(6) for j in range(6)])
    assert imitation_loss(student, teacher, 3.0).item() == pytest.approx(cosine + 3 * similarity)


def test_a_student_that_is_its_teacher_has_no_loss():
    features = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert imitation_loss(5 * features, features, 10.0).item() == pytest.approx(0, abs=1e-6)
