"""A loss whose gradient has been computed already."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def with_gradients(
    value: Float[Tensor, ""], parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]
) -> Float[Tensor, ""]:
    """A scalar that hands each parameter the gradient given for it, scaled by what comes from upstream.

    The gradients of tasks can so be added up one by one, each graph freed before the next is made, while
    `loss.backward()` upstream works as for any other loss.

    Args:
        value: what the scalar is.
        parameters: leaves or not.
        gradients: one for each parameter; None where it has none.
    """
    return _WithGradients.apply(value.detach(), tuple(gradients), *parameters)


class _WithGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: tuple[Tensor | None, ...], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(None if gradient is None else upstream[0] * gradient for gradient in ctx.gradients)
