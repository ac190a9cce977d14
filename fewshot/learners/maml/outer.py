"""A loss whose gradient has been computed already."""

from collections.abc import Iterable, Mapping, Sequence
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


def summed_gradients(losses: Iterable[Float[Tensor, ""]], parameters: Sequence[Tensor]) -> Float[Tensor, ""]:
    """The sum of losses, each one's gradient computed and its graph freed before the next loss is made.

    Args:
        losses: scalars.
        parameters: what the gradient is by.
    """
    value, sums = torch.zeros(()), dict[int, Tensor]()
    for loss in losses:
        value = value + loss.detach()
        if torch.is_grad_enabled():
            for place, gradient in enumerate(torch.autograd.grad(loss, list(parameters), allow_unused=True)):
                if gradient is not None:
                    sums[place] = sums[place] + gradient if place in sums else gradient
    return with_gradients(value, parameters, [sums.get(place) for place in range(len(parameters))])


def towards(end: Mapping[str, Tensor], start: Mapping[str, Tensor], value: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Reptile's loss: a value whose gradient by each first value is `theta - theta_T`, the mean over episodes.

    Args:
        end: name → last values, of one episode or of each.
        start: name → first values that are learned.
        value: what the loss is.
    """
    ends = [end[name].mean(0) if end[name].ndim > p.ndim else end[name] for name, p in start.items()]
    gradients = [p.detach() - last for p, last in zip(start.values(), ends, strict=True)]
    return with_gradients(value, list(start.values()), gradients)
