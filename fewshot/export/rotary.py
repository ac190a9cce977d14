"""Rotary positions without complex numbers, which ONNX does not have and DeepSeek-V2 uses.

(a + ib) (cos t + i sin t) = (a cos t - b sin t) + i (a sin t + b cos t)
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_FUNCTION = "apply_rotary_emb"  # of transformers, with complex rotations as an argument


class RealRotary(nn.Module):
    """Rotations as cosine and sine, instead of complex numbers."""

    frequencies: Tensor

    def __init__(self, rotary: Any):
        super().__init__()
        self.register_buffer("frequencies", rotary.inv_freq.float())
        self.scaling = rotary.attention_scaling

    def forward(
        self, x: Tensor, position_ids: Int[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens frequencies 2"]:
        """Cosine and sine of each position's angles."""
        angles = position_ids[..., None].float() * self.frequencies
        return torch.stack([angles.cos(), angles.sin()], dim=-1) * self.scaling


def replace_rotary(backbone: nn.Module) -> None:
    """Replace modules that give complex rotations, in place; the model then runs within `real_rotations` alone."""
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "inv_freq") and _is_complex(type(child).__module__):
                setattr(parent, name, RealRotary(child))


@contextmanager
def real_rotations(backbone: nn.Module) -> Iterator[None]:
    """Replace the rotation in the modules of the model by one that takes the output of `RealRotary`."""
    modules = [sys.modules[name] for name in {type(module).__module__ for module in backbone.modules()}]
    originals = [(module, getattr(module, _FUNCTION)) for module in modules if _is_complex(module.__name__)]
    for module, _ in originals:
        setattr(module, _FUNCTION, _rotate_both)
    try:
        yield
    finally:
        for module, function in originals:
            setattr(module, _FUNCTION, function)


def _is_complex(module: str) -> bool:
    function = getattr(sys.modules.get(module), _FUNCTION, None)
    return function is _rotate_both or (function is not None and "freqs_cis" in inspect.signature(function).parameters)


def _rotate_both(query: Tensor, key: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    cosine, sine = rotations.unsqueeze(1).unbind(-1)
    return _rotate(query, cosine, sine), _rotate(key, cosine, sine)


def _rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    rotated = torch.stack([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=-1)
    return rotated.flatten(-2).type_as(x)
