"""An encoder without a transformer: a vector for each word piece, and one for each of some pairs of neighbours.

    x = sum_i v(p_i) + sum_i u(p_i, p_i+1)        f(text) = y / |y|, y = x M + b

`v` has a low rank, which a map M takes to the width of a teacher: a small file, and few operations a text. A pair that
is not in the table has no vector; pairs that share a hashed place would lend theirs to pairs that were never seen.

Source: Tulkens and van Dongen 2024, "Model2Vec", https://github.com/MinishLab/model2vec, for sums of vectors of pieces
that a sentence transformer gave; Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification",
https://arxiv.org/abs/1607.01759, for pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, normalize

from fewshot.encoders.encoder import Encoder
from fewshot.encoders.row_int8 import WEIGHTS, read_packed
from fewshot.encoders.source import STATIC, STATIC_SHA256, check_bundled
from fewshot.encoders.texts import without_surrogates
from fewshot.encoders.tokens import TokenizedTexts
from fewshot.encoders.word_pieces import WordPieces
from fewshot.errors import EncoderError
from fewshot.ranges import Range, one_of

_NAMES = ("vectors", "pairs", "pair_vectors", "map", "shift")
_FIRST = 2**16  # a pair of pieces as one number
_NONE: Range = (lambda value: value is None, "null")


class PieceVectors(nn.Module):
    """The vectors of an encoder without a transformer.

    Args:
        vectors: v, of each word piece; that of the first, the padding, does not count.
        pairs: ids of neighbouring pieces, in ascending order.
        pair_vectors: u, of each pair.
        map: M.
        shift: b.
    """

    vectors: Tensor
    pairs: Tensor
    pair_vectors: Tensor
    map: Tensor
    shift: Tensor
    _sorted: Tensor  # the pairs as numbers

    def __init__(
        self,
        vectors: Float[Tensor, "n_pieces rank"],
        pairs: Int[Tensor, "n_pairs 2"],
        pair_vectors: Float[Tensor, "n_pairs rank"],
        map: Float[Tensor, "rank dim"],
        shift: Float[Tensor, " dim"],
    ):
        super().__init__()
        parts = {"vectors": vectors, "pairs": pairs, "pair_vectors": pair_vectors, "map": map, "shift": shift}
        for name, tensor in parts.items():
            self.register_parameter(name, nn.Parameter(tensor, requires_grad=False))
        self.register_buffer("_sorted", _keys(pairs[:, 0], pairs[:, 1]), persistent=False)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "PieceVectors":
        """From tensors by name; EncoderError if names, shapes or the order of pairs are wrong."""
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        match [shapes.pop(name, ()) for name in _NAMES]:
            case [(_, rank), (n_pairs, 2), (n_vectors, width), (map_rank, dim), (shift_dim,)]:
                fits = rank == width == map_rank and n_pairs == n_vectors and dim == shift_dim and not shapes
            case _:
                fits = False
        if not fits or bool((_keys(*tensors["pairs"].T).diff() <= 0).any()):
            got = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
            raise EncoderError(
                f"The vectors of a static encoder do not go together: {got}. Expected {', '.join(_NAMES)}, of one "
                f"rank and one width, and pairs in ascending order. Distil the student again."
            )
        return cls(*(tensors[name] for name in _NAMES))

    def rows(
        self, first: Int[Tensor, "*batch"], second: Int[Tensor, "*batch"]
    ) -> tuple[Int[Tensor, "*batch"], Bool[Tensor, "*batch"]]:
        """The row of each pair in the table, and True for the pairs that have one."""
        keys = _keys(first, second)
        if not len(self._sorted):
            return torch.zeros_like(keys), torch.zeros_like(keys, dtype=torch.bool)
        rows = torch.searchsorted(self._sorted, keys).clamp_(max=len(self._sorted) - 1)
        return rows, self._sorted[rows] == keys

    def forward(self, ids: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch dim"]:
        """Unit features of texts; ids are padded with 0."""
        summed = embedding_bag(ids, self.vectors, mode="sum", padding_idx=0)
        if len(self.pairs) and ids.shape[1] > 1:
            rows, known = self.rows(ids[:, :-1], ids[:, 1:])
            counts = known.sum(1)
            offsets = counts.cumsum(0) - counts
            summed = summed + embedding_bag(rows[known], self.pair_vectors, offsets, mode="sum")
        return normalize(torch.addmm(self.shift, summed, self.map), dim=-1)


def _keys(first: Int[Tensor, "*batch"], second: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    return first.long() * _FIRST + second.long()


@dataclass(eq=False, repr=False)
class StaticEncoder(Encoder):
    """Sums of vectors of word pieces: tens of thousands of texts a second, and no word order beyond pairs.

    As published it has general vectors that were taught by MiniLM, see `weights/static`; a student of another teacher
    has its own. It reads the word pieces of MiniLM's tokenizer, all of a text, and computes in float32. Features are
    not kept on disk: computing them is faster than reading them. Its vectors are trained by `fewshot.distill` alone.

    Args:
        model: `"bundled/static"`.
        **settings: see `EncoderSettings`.
    """

    model: str = STATIC
    _: KW_ONLY
    dtype: str = "float32"
    max_length: int | None = None
    tokens_per_batch: int = 32_768
    cache: str | Path | None = None
    shallow_layer: int | Literal["auto"] | None = None

    HAS_LAYERS: ClassVar[bool] = False
    RANGES: ClassVar[dict[str, Range]] = Encoder.RANGES | {
        "model": one_of(STATIC),
        "dtype": one_of("float32", "auto"),
        **dict.fromkeys(("max_length", "shallow_layer", "quantise", "layers"), _NONE),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self._target = torch.float32

    @property
    def backbone(self) -> nn.Module:
        """The vectors."""
        return self.module

    @property
    def vectors(self) -> PieceVectors:
        """The module, with its type."""
        module = self.module
        assert isinstance(module, PieceVectors)
        return module

    def pieces(self, texts: Sequence[str]) -> list[list[int]]:
        """The word pieces of each text, none for a text that has none."""
        self.load()
        return self._pieces([without_surrogates(text) for text in texts])

    @cached_property
    def _features(self) -> None:
        """No cache, whatever the setting."""

    def put_weights(self, module: nn.Module, dtype: torch.dtype) -> None:
        """Nothing is put into the vectors: `load` makes them of the trained ones, whose shapes are their own."""
        if self.trained is not None:
            self.trained.check_base(self.model, self.identity)

    def _load(self, folder: Path, dtype: torch.dtype) -> nn.Module:
        self._pieces = WordPieces.bundled()
        if self.trained is not None:  # of a rank, a width and pairs of its own
            module = PieceVectors.of(self.trained.tensors)
        else:
            check_bundled(folder / WEIGHTS, STATIC_SHA256, "fewshot-text")
            module = PieceVectors.of(read_packed(folder))
        if len(module.vectors) != self._pieces.count:
            raise EncoderError(
                f"The weights of a static encoder are vectors of {len(module.vectors):,} word pieces, expected "
                f"{self._pieces.count:,}. Distil the student again."
            )
        return module.to(self._device)

    def _tokenized(self, texts: Sequence[str]) -> TokenizedTexts:
        return TokenizedTexts({"input_ids": [row or [0] for row in self.pieces(texts)]}, {"input_ids": 0}, 0)

    def _forward(self, batch: dict[str, Tensor]) -> Float[Tensor, "batch dim"]:
        features: Tensor = self.vectors(batch["input_ids"])
        return features
