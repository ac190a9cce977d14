"""The inner loop by learn2learn's own `clone` and `adapt`, one episode after another."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fewshot.learners.maml import learn2learn
from fewshot.learners.maml.descent import Loss
from fewshot.learners.maml.dual import Rates
from fewshot.learners.maml.named import NamedParameters, Parameters


def descend_in_learn2learn(
    start: Parameters, loss: Loss, rates: Rates, steps: int, first_order: bool, per_parameter: bool = False
) -> list[Parameters]:
    """What `descend` does, through learn2learn's MAML, or its MetaSGD where rates are per parameter.

    Args:
        start: name → first value, of one episode.
        loss: parameters → a scalar.
        rates: one rate for everything, or one per element; the same at each step.
        steps: how many.
        first_order: take the gradients as constants.
        per_parameter: whether to go through MetaSGD.

    Raises:
        ConfigError: learn2learn is not installed.
    """
    algorithms = learn2learn.algorithms()
    first_order = first_order or not torch.is_grad_enabled()
    module, rate = _module(start), rates(0)
    with torch.enable_grad():
        if per_parameter:
            lrs = [torch.as_tensor(rate[name]) for name in start]
            clone = algorithms.MetaSGD(module, lrs=lrs, first_order=first_order).clone()
        else:
            # Unused parameters, such as BERT's pooler under mean pooling, have no gradient.
            maml = algorithms.MAML(module, lr=next(iter(rate.values())), first_order=first_order, allow_nograd=True)
            clone = maml.clone()
        path: list[Parameters] = []
        for _ in range(steps):
            clone.adapt(loss(clone.module.named()))
            path.append(clone.module.named())
    return path


def stacked(path_of_each: list[list[Parameters]]) -> list[Mapping[str, Tensor]]:
    """From the paths of single episodes to the path of the batch."""
    return [
        {name: torch.stack([parameters[name] for parameters in step]) for name in step[0]}
        for step in zip(*path_of_each, strict=True)
    ]


def _module(start: Parameters) -> nn.Module:
    """A module whose parameters have a history, as learn2learn's own clones do."""
    module = NamedParameters({name: nn.Parameter(tensor.detach()) for name, tensor in start.items()})
    for key, tensor in zip(module._parameters, start.values(), strict=True):
        module._parameters[key] = tensor if tensor.requires_grad else tensor.detach().requires_grad_()  # type: ignore
    return module
