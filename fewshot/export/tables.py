"""Tables of vectors in forms that a graph can hold: rows in 8 bits, and the vectors of a static encoder."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from fewshot.encoders.row_int8 import pack
from fewshot.encoders.static import PieceVectors

_BASE = 2**16  # of the key of a pair of pieces


class PackedEmbedding(nn.Module):
    """A table whose rows are in 8 bits, each with its own step, see `row_int8`."""

    values: Tensor
    steps: Tensor

    def __init__(self, weight: Tensor):
        super().__init__()
        values, steps = pack({"rows": weight.detach()}).values()
        self.register_buffer("values", values)
        self.register_buffer("steps", steps)

    def forward(self, ids: Tensor) -> Tensor:
        """The rows with these numbers, in float32."""
        return self.values[ids].float() * self.steps[ids]


class SearchedVectors(nn.Module):
    """The vectors of a static encoder, with a binary search for pairs, since ONNX has no search in sorted arrays.

    After `log2(n) + 1` steps, the first key that is not below the wanted one is found.
    """

    keys: Tensor

    def __init__(self, vectors: PieceVectors, int8: bool):
        super().__init__()
        self.words, self.pairs = (_table(weight, int8) for weight in (vectors.vectors, vectors.pair_vectors))
        self.register_buffer("keys", _keys(vectors.pairs[:, 0].long(), vectors.pairs[:, 1].long()))
        self.map, self.shift = vectors.map, vectors.shift

    def forward(self, ids: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch dim"]:
        """Unit features of texts; ids are padded with 0."""
        summed = (self.words(ids) * (ids != 0)[..., None]).sum(1)
        if len(self.keys):
            wanted = _keys(ids, pad(ids, (0, 1))[:, 1:])
            rows = self._rows(wanted)
            summed = summed + (self.pairs(rows) * (self.keys[rows] == wanted)[..., None]).sum(1)
        return normalize(torch.addmm(self.shift, summed, self.map), dim=-1)

    def _rows(self, wanted: Int[Tensor, "batch tokens"]) -> Int[Tensor, "batch tokens"]:
        last = len(self.keys) - 1
        low, high = torch.zeros_like(wanted), torch.full_like(wanted, last)
        for _ in range(len(self.keys).bit_length()):
            middle = (low + high) // 2
            above = self.keys[middle] < wanted
            low = torch.where(above, (middle + 1).clamp(max=last), low)
            high = torch.where(above, high, middle)
        return low


def _keys(first: Int[Tensor, "*batch"], second: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    return first * _BASE + second


def _table(weight: Tensor, int8: bool) -> nn.Module:
    return PackedEmbedding(weight) if int8 and len(weight) else nn.Embedding.from_pretrained(weight)
