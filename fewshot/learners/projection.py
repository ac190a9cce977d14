"""A learned map of features that starts as the identity."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize


class ResidualProjection(nn.Module):
    """`normalize(x + x W)`, with `W = 0` at the start.

    A pre-trained encoder's space is already good; the residual form begins there, and decaying `W` pulls back
    to it.

    Args:
        dim: number of features.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim, dim))

    def forward(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Project and normalise."""
        return normalize(features + features @ self.weight, dim=-1)
