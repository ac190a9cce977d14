"""Rotary positions without complex numbers, which ONNX does not have; DeepSeek-V2 is written with them.

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

_FUNCTION = "apply_rotary_emb"  # of a module of transformers, with complex rotations as an argument


class RealRotary(nn.Module):
    """Rotations as cosine and sine, in place of a module that gives complex numbers."""

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
    """Let the model's own functions rotate by what `RealRotary` gives."""
    modules = [sys.modules[name] for name in {type(module).__module__ for module in backbone.modules()}]
    originals = [(module, getattr(module, _FUNCTION)) for module in modules if _is_complex(module.__name__)]
    for module, _ in originals:
        setattr(module, _FUNCTION, _rotated)
    try:
        yield
    finally:
        for module, function in originals:
            setattr(module, _FUNCTION, function)


def _is_complex(module: str) -> bool:
    function = getattr(sys.modules.get(module), _FUNCTION, None)
    return function is _rotated or (function is not None and "freqs_cis" in inspect.signature(function).parameters)


def _rotated(query: Tensor, key: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    cosine, sine = rotations.unsqueeze(1).unbind(-1)
    return _turned(query, cosine, sine), _turned(key, cosine, sine)


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=-1)
    return turned.flatten(-2).type_as(x)
