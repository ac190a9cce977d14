import numpy as np
import pytest
import torch

from fewshot.encoders.pooling import POOLINGS


def by_hand(name, hidden, mask):
    rows = [h[m] for h, m in zip(hidden, mask.astype(bool), strict=True)]
    if name in ("cls", "last"):
        return np.stack([row[0 if name == "cls" else -1] for row in rows])
    weights = [np.arange(1, len(row) + 1) if name == "weighted_mean" else np.ones(len(row)) for row in rows]
    return np.stack([np.average(row, axis=0, weights=weight) for row, weight in zip(rows, weights, strict=True)])


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("mask", [[[1, 1, 1, 0], [1, 0, 0, 0]], [[0, 1, 1, 1], [0, 0, 0, 1]], [[1] * 4] * 2])
@pytest.mark.parametrize("as_type", [torch.int64, torch.bool])
def test_each_pooling_equals_numpy_with_padding_on_either_side(name, mask, as_type):
    hidden = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    pooled = POOLINGS[name](torch.tensor(hidden), torch.tensor(mask).to(as_type))
    np.testing.assert_allclose(pooled, by_hand(name, hidden, np.array(mask)), atol=1e-6)


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_is_never_read(name):
    hidden = torch.randn(1, 3, 2, generator=torch.Generator().manual_seed(0))
    hidden[0, 2] = float("nan")
    assert POOLINGS[name](hidden, torch.tensor([[1, 1, 0]])).isfinite().all()


@pytest.mark.parametrize("name", POOLINGS)
def test_half_precision_is_pooled_in_32_bits_and_double_stays(name):
    mask = torch.ones(1, 300, dtype=torch.int64)
    hidden = torch.full((1, 300, 1), 1.0078125, dtype=torch.bfloat16)  # a sum in bfloat16 stops growing at 256
    pooled = POOLINGS[name](hidden, mask)
    assert pooled.dtype == torch.float32
    assert pooled.item() == pytest.approx(1.0078125, abs=1e-6)
    assert POOLINGS[name](hidden.double(), mask).dtype == torch.float64


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_reach_the_tokens(name):
    hidden = torch.randn(1, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h: POOLINGS[name](h, torch.tensor([[1, 1, 0]])), hidden)
