"""A student without a transformer: vectors of word pieces and of pairs of neighbours, see `StaticEncoder`.

It starts from the general vectors that come with the package, and a map from their sums x to the teacher's features t,
fitted to the texts:

    min_{M, b}  mean_i |t_i - (x_i M + b) / |x_i||^2 + ridge |M|^2

Then the vectors of pieces in the texts, vectors of repeated pairs (from zero on), M and b are trained, see `imitation`.
Pieces that are not in the texts keep their general vectors.
"""

from dataclasses import dataclass, field, replace
from math import ceil
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from fewshot.distill.imitation import ImitationSettings, imitate
from fewshot.distill.lessons import Lessons
from fewshot.distill.student import Student
from fewshot.encoders import Encoder, StaticEncoder
from fewshot.encoders.static import PieceVectors
from fewshot.encoders.trained import TrainedWeights
from fewshot.ranges import POSITIVE, Range, whole
from fewshot.training.store import Store

_RIDGE = 1e-3  # |x / |x|| is 1


@dataclass(frozen=True)
class StaticStudent(Student):
    """Vectors of word pieces and pairs, trained on one thread in a minute or so.

    Args:
        epochs: how often each text is seen, if `training.steps` allows it.
        min_count: occurrences in the texts from which a pair has a vector.
        max_pairs: maximum of pairs, the most frequent ones.
        learning_rate: AdamW's, of the vectors.
        map_learning_rate: of M and b.
        training: of the steps.
    """

    name: ClassVar[str] = "static"
    RANGES: ClassVar[dict[str, Range]] = {
        **dict.fromkeys(("epochs", "learning_rate", "map_learning_rate"), POSITIVE),
        "min_count": whole(1),
        "max_pairs": whole(0),
    }

    epochs: float = 20.0
    min_count: int = 2
    max_pairs: int = 20_000
    learning_rate: float = 3e-3
    map_learning_rate: float = 1e-3
    training: ImitationSettings = field(
        default_factory=lambda: ImitationSettings(steps=3000, evaluate_every=50, patience=10, probability_weight=3.0)
    )

    def learn(self, lessons: Lessons, seed: int = 0, store: Store | None = None) -> Encoder:
        """See `Student.learn`; its weights are stored in 8 bits."""
        published = StaticEncoder()
        ids = FlatIds.of(published.pieces(lessons.texts))
        pairs = ids.first(lessons.n_trained).frequent_pairs(self.min_count, self.max_pairs)
        table = PieceTable(published.vectors, ids, pairs)
        table.fit_map(lessons.features[: lessons.n_trained])
        groups = [
            {"params": [table.rows, table.pair_rows], "lr": self.learning_rate, "weight_decay": 0.0},
            {"params": [table.map, table.shift], "lr": self.map_learning_rate, "weight_decay": 0.0},
        ]
        steps = ceil(self.epochs * lessons.n_trained / self.training.batch)
        training = replace(self.training, steps=min(self.training.steps, steps))
        imitate(table, lessons, training, groups, seed, self.files(lessons, seed, store))
        seen = {"task": "texts without labels"}
        weights = TrainedWeights(published.model, published.identity, table.weights(published.vectors), seen=seen)
        return published.with_trained(weights.rounded(torch.int8))


@dataclass(frozen=True)
class FlatIds:
    """Word pieces of texts, one text behind the other.

    Args:
        ids: of all of them.
        lengths: of each text.
    """

    ids: Int[Tensor, " n_ids"]
    lengths: Int[Tensor, " n_texts"]

    @classmethod
    def of(cls, rows: list[list[int]]) -> "FlatIds":
        """From the ids of each text."""
        ids = torch.tensor([piece for row in rows for piece in row], dtype=torch.long)
        return cls(ids, torch.tensor(list(map(len, rows))))

    def first(self, n_texts: int) -> "FlatIds":
        """The pieces of the first texts."""
        lengths = self.lengths[:n_texts]
        return FlatIds(self.ids[: int(lengths.sum())], lengths)

    def frequent_pairs(self, min_count: int, max_pairs: int) -> Int[Tensor, "n_pairs 2"]:
        """Pairs of neighbours within a text that are frequent enough, in ascending order; never with a padding id."""
        text = torch.repeat_interleave(self.lengths)
        pairs = torch.stack([self.ids[:-1], self.ids[1:]], 1)[text[:-1] == text[1:]]
        distinct, counts = pairs[(pairs > 0).all(1)].unique(dim=0, return_counts=True)
        order = counts.argsort(descending=True, stable=True)[:max_pairs]
        return distinct[order[counts[order] >= min_count].sort().values]


class PieceTable(nn.Module):
    """The vectors that texts use, by index of the text.

    Args:
        start: general vectors.
        ids: of the texts.
        pairs: that have vectors, in ascending order.
    """

    def __init__(self, start: PieceVectors, ids: FlatIds, pairs: Int[Tensor, "n_pairs 2"]):
        super().__init__()
        self.pairs = pairs
        self.used, self.pieces = ids.ids.unique(return_inverse=True)
        self.starts, self.lengths = ids.lengths.cumsum(0) - ids.lengths, ids.lengths
        text = torch.repeat_interleave(ids.lengths)
        empty = start.pair_vectors.new_zeros(len(pairs), start.pair_vectors.shape[1])
        known = PieceVectors(start.vectors, pairs, empty, start.map, start.shift)
        rows, in_table = known.rows(ids.ids[:-1], ids.ids[1:])
        in_table &= text[:-1] == text[1:]
        self.pair_ids = rows[in_table]
        self.pair_lengths = torch.bincount(text[:-1][in_table], minlength=len(ids.lengths))
        self.pair_starts = self.pair_lengths.cumsum(0) - self.pair_lengths
        self.rows, self.pair_rows = nn.Parameter(start.vectors[self.used].clone()), nn.Parameter(empty)
        self.map, self.shift = nn.Parameter(start.map.clone()), nn.Parameter(start.shift.clone())

    def forward(self, texts: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        """Features of some texts."""
        return torch.addmm(self.shift, self.sums(texts), self.map)

    def sums(self, texts: Int[Tensor, " batch"]) -> Float[Tensor, "batch rank"]:
        """x of some texts."""
        of_pieces = _bags(self.rows, self.pieces, self.starts[texts], self.lengths[texts])
        if not len(self.pair_ids):
            return of_pieces
        return of_pieces + _bags(self.pair_rows, self.pair_ids, self.pair_starts[texts], self.pair_lengths[texts])

    @torch.no_grad()
    def fit_map(self, features: Float[Tensor, "n_texts dim"]) -> None:
        """Set M and b to the least-squares solution on the first texts, see the module."""
        sums = self.sums(torch.arange(len(features))).double()
        sums = torch.cat([sums, sums.new_ones(len(sums), 1)], 1)
        sums /= sums[:, :-1].norm(dim=1, keepdim=True).clamp(min=1e-6)
        penalty = _RIDGE * len(sums) * torch.eye(sums.shape[1], dtype=sums.dtype)
        penalty[-1, -1] = 0  # b is free
        solution = torch.linalg.solve(sums.T @ sums + penalty, sums.T @ features.double()).float()
        self.map = nn.Parameter(solution[:-1].clone())
        self.shift = nn.Parameter(solution[-1].clone())

    @torch.no_grad()
    def weights(self, start: PieceVectors) -> dict[str, Tensor]:
        """All vectors; those of pieces that no text uses are the general ones."""
        vectors = start.vectors.index_copy(0, self.used, self.rows)
        parts = {"vectors": vectors, "pair_vectors": self.pair_rows, "map": self.map, "shift": self.shift}
        return {name: tensor.detach().clone() for name, tensor in parts.items()} | {"pairs": self.pairs.to(torch.int16)}


def _bags(
    rows: Float[Tensor, "n_rows rank"],
    flat: Int[Tensor, " n"],
    starts: Int[Tensor, " batch"],
    lengths: Int[Tensor, " batch"],
) -> Float[Tensor, "batch rank"]:
    """The sum of the rows of each of some slices of `flat`."""
    offsets = lengths.cumsum(0) - lengths
    within = torch.arange(int(lengths.sum())) + torch.repeat_interleave(starts - offsets, lengths)
    return embedding_bag(flat[within], rows, offsets, mode="sum")
