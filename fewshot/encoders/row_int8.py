"""Weights in 8 bits, for a small file: each row of a matrix as integers and the size of one step.

    w_ij ~ s_i q_ij        s_i = max_j |w_ij| / 127, q_ij = round(w_ij / s_i)

They are unpacked when read; the model computes in floating point. Vectors and routers stay as they are: a router
decides between scores that can be close. A step has 17 significant bits, so that products are exact in float32, and
packing what was unpacked gives the same again.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Int8
from torch import Tensor

from fewshot.storage import write_tensors

WEIGHTS = "model.safetensors"
_STEP = ".row_step"
_EXACT = (".gate.weight",)  # of routers
PACKED = {"format": "pt", "packing": "row_int8"}  # metadata of a file
_SPARE_BITS = 7  # of the 24 of float32, which |q| <= 127 needs


def pack(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by name → what is stored: for a matrix its integers, and its steps under a name beside it."""
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.dim() < 2 or not weight.is_floating_point() or name.endswith(_EXACT):
            stored[name] = weight
        else:
            stored[name], stored[name + _STEP] = _packed(weight)
    return stored


def unpack(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `pack`, matrices in float32."""
    plain = {name: tensor for name, tensor in stored.items() if not name.endswith(_STEP)}
    return {n: t.float() * stored[n + _STEP] if n + _STEP in stored else t for n, t in plain.items()}


def write_packed(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write the weights of a model's folder, packed."""
    write_tensors(folder / WEIGHTS, pack(weights), PACKED)


def is_packed(folder: Path) -> bool:
    """True if a model's folder holds weights that are packed by rows."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(folder / WEIGHTS), framework="pt") as file:
            return (file.metadata() or {}).get("packing") == PACKED["packing"]
    except (OSError, SafetensorError):  # loading the folder says what is wrong with it
        return False


def read_packed(folder: Path) -> dict[str, Tensor]:
    """The weights of a model's folder, unpacked."""
    from safetensors.torch import load_file

    return unpack(load_file(folder / WEIGHTS))


def _packed(weight: Float[Tensor, "*rows dim"]) -> tuple[Int8[Tensor, "*rows dim"], Float[Tensor, "*rows 1"]]:
    step = weight.float().abs().amax(-1, keepdim=True) / 127
    step = step.clamp(min=torch.finfo(torch.float32).tiny)  # a row of zeros
    step = (step.view(torch.int32) >> _SPARE_BITS << _SPARE_BITS).view(torch.float32)
    return (weight.float() / step).round().clamp(-127, 127).to(torch.int8), step
