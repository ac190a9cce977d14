"""The part of a module that a training changes, as a dictionary of tensors."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fewshot.errors import FewshotError


class OtherWeightsError(FewshotError):
    """Weights that belong to another module."""


def trained_names(module: nn.Module) -> list[str]:
    """Names of the state that a training changes: parameters that require gradients, and buffers.

    The frozen weights of an encoder are not among them, so that a copy of the rest is small.

    Args:
        module: what is trained.
    """
    frozen = {name for name, p in module.named_parameters(remove_duplicate=False) if not p.requires_grad}
    return [name for name in module.state_dict() if name not in frozen]


def trained_weights(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the trained state.

    Args:
        module: what is trained.
    """
    state = module.state_dict()
    return {name: state[name].detach().clone() for name in trained_names(module)}


def load_trained_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put back what `trained_weights` took from a module of the same form.

    Args:
        module: changed in place, whole or not at all.
        weights: name → tensor.

    Raises:
        OtherWeightsError: names or shapes are not those of the module.
    """
    state = module.state_dict()
    expected = {name: state[name].shape for name in trained_names(module)}
    got = {name: tensor.shape for name, tensor in weights.items()}
    if got != expected:
        odd = sorted(name for name in {*got, *expected} if got.get(name) != expected.get(name))
        raise OtherWeightsError(
            f"Got weights that are not those of {type(module).__name__}: {odd[0]!r} has shape "
            f"{_shape(got.get(odd[0]))}, expected {_shape(expected.get(odd[0]))}. Use weights of the same training."
        )
    with torch.no_grad():
        for name, tensor in weights.items():
            state[name].copy_(tensor)


def _shape(shape: torch.Size | None) -> str:
    return "none" if shape is None else str(list(shape))
