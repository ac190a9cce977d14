"""The loss of the outer loop, and losses whose gradient has been computed already."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.learners.maml.network import NamedParameters, Parameters
from fewshot.learners.maml.settings import MAMLSettings

Step = TypeVar("Step")


class _WithGradients(torch.autograd.Function):
    """A scalar whose backward pass hands each parameter the gradient given for it, times that from upstream."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: tuple[Tensor | None, ...], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(None if gradient is None else upstream[0] * gradient for gradient in ctx.gradients)


def summed_gradients(losses: Iterable[Float[Tensor, ""]], parameters: Sequence[Tensor]) -> Float[Tensor, ""]:
    """The sum of losses, each one's gradient computed and its graph freed before the next loss is made."""
    value, sums = torch.zeros(()), dict[int, Tensor]()
    for loss in losses:
        value = value + loss.detach()
        if torch.is_grad_enabled():
            for place, gradient in enumerate(torch.autograd.grad(loss, list(parameters), allow_unused=True)):
                if gradient is not None:
                    sums[place] = sums[place] + gradient if place in sums else gradient
    return _WithGradients.apply(value, tuple(sums.get(place) for place in range(len(parameters))), *parameters)


def towards(end: Mapping[str, Tensor], start: Mapping[str, Tensor], value: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Reptile's loss: a value whose gradient by each value in `start` is `theta - theta_T`, the mean over episodes."""
    ends = [end[name].mean(0) if end[name].ndim > p.ndim else end[name] for name, p in start.items()]
    gradients = tuple(p.detach() - last for p, last in zip(start.values(), ends, strict=True))
    return _WithGradients.apply(value.detach(), gradients, *start.values())


def outer_loss(
    settings: MAMLSettings,
    first: NamedParameters,
    steps: Callable[[], list[Step]],
    query_loss: Callable[[Step], Float[Tensor, ""]],
    weights: Callable[[Step], Parameters],
) -> Float[Tensor, ""]:
    """The loss of the outer loop, in nats: of the queries after the last step, or after every step.

    Reptile's value is the same, its gradient `theta - theta_T`. `steps` takes the inner loop; `query_loss` and
    `weights` give the cross-entropy of the queries, and values by name, after a step.
    """
    if settings.reptile:
        with torch.no_grad():
            end = steps()[-1]
            value = query_loss(end)
        return towards(weights(end), {name: p for name, p in first.named().items() if p.requires_grad}, value)
    path = steps()
    if not settings.multi_step_loss:
        return query_loss(path[-1])
    losses = torch.stack([query_loss(step) for step in path])
    growing = torch.arange(1, len(path) + 1, device=losses.device)
    return (growing * losses).sum() / growing.sum()
