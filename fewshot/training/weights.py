"""The part of a module that a training changes, as a dictionary of tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fewshot.errors import FewshotError


class OtherWeightsError(FewshotError):
    """Weights that belong to another module."""


def trained_names(module: nn.Module) -> list[str]:
    """Names of the parameters that require gradients, and of the buffers."""
    frozen = {name for name, p in module.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return [name for name in module.state_dict() if name not in frozen]


def trained_weights(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the trained state."""
    state = module.state_dict()
    return {name: state[name].detach().clone() for name in trained_names(module)}


def load_trained_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put back, whole or not at all, what `trained_weights` took from a module of the same form.

    Raises:
        OtherWeightsError: names or shapes are not those of the module.
    """
    state = module.state_dict()
    expected = {name: list(state[name].shape) for name in trained_names(module)}
    got = {name: list(tensor.shape) for name, tensor in weights.items()}
    if got != expected:
        odd = min(name for name in {*got, *expected} if got.get(name) != expected.get(name))
        raise OtherWeightsError(
            f"Got weights that are not those of {type(module).__name__}: {odd!r} has shape {got.get(odd, 'none')}, "
            f"expected {expected.get(odd, 'none')}. Use weights of the same training."
        )
    with torch.no_grad():
        for name, tensor in weights.items():
            state[name].copy_(tensor)
