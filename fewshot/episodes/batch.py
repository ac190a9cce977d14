"""A batch of episodes: index tensors into one feature matrix."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes as indices of texts; every episode has the same number of classes and queries.

    Args:
        classes: the class of each way.
        support: the texts that the learner sees; padded with -1 if a class has fewer than `k_shot`.
        support_mask: True for the texts of `support`, False for padding.
        query: the texts to classify.
    """

    classes: Int[Tensor, "episodes n_way"]
    support: Int[Tensor, "episodes n_way k_shot"]
    support_mask: Bool[Tensor, "episodes n_way k_shot"]
    query: Int[Tensor, "episodes n_way n_query"]

    def __len__(self) -> int:
        """Number of episodes."""
        return self.classes.shape[0]

    def __getitem__(self, index: int | slice) -> "EpisodeBatch":
        """The episodes of a slice, or one episode as a batch of one."""
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"Got episode {index} of a batch of {len(self)}.")
            index = slice(index % len(self), index % len(self) + 1)
        return EpisodeBatch(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def cat(cls, batches: Sequence["EpisodeBatch"]) -> "EpisodeBatch":
        """The episodes of several batches in a row; shorter supports are padded."""
        longest = max(batch.k_shot for batch in batches)
        pad = [(0, longest - batch.k_shot) for batch in batches]
        return cls(
            torch.cat([batch.classes for batch in batches]),
            torch.cat([nn.functional.pad(b.support, p, value=-1) for b, p in zip(batches, pad, strict=True)]),
            torch.cat([nn.functional.pad(b.support_mask, p) for b, p in zip(batches, pad, strict=True)]),
            torch.cat([batch.query for batch in batches]),
        )

    @property
    def n_way(self) -> int:
        """Classes in each episode."""
        return self.classes.shape[1]

    @property
    def k_shot(self) -> int:
        """Support texts of the class with the largest support."""
        return self.support.shape[2]

    @property
    def n_query(self) -> int:
        """Query texts of each class."""
        return self.query.shape[2]

    @property
    def targets(self) -> Int[Tensor, "episodes queries"]:
        """The way of each query, in the order of `query` flattened."""
        return torch.arange(self.n_way).repeat_interleave(self.n_query).expand(len(self), -1)

    def prefix(self, k_shot: int, n_query: int, n_episodes: int | None = None) -> "EpisodeBatch":
        """The first episodes, with the first support and query texts; ValueError if the batch has fewer."""
        if k_shot > self.k_shot or n_query > self.n_query or (n_episodes or 0) > len(self):
            raise ValueError(
                f"Asked for {n_episodes} episodes of {k_shot} shots and {n_query} queries, but the batch holds "
                f"{len(self)} of {self.k_shot} and {self.n_query}."
            )
        first = self[:n_episodes]
        support, mask, query = first.support[..., :k_shot], first.support_mask[..., :k_shot], first.query[..., :n_query]
        return EpisodeBatch(first.classes, support, mask, query)

    def split(self, size: int) -> Iterator["EpisodeBatch"]:
        """The batch in pieces of at most `size` episodes."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    def sha256(self) -> str:
        """A hash of shapes and indices: two results with the same hash are of the same episodes."""
        digest = hashlib.sha256()
        for field in fields(self):
            tensor = getattr(self, field.name).to(torch.int64).contiguous()
            digest.update(f"{field.name}{tuple(tensor.shape)}".encode())
            digest.update(tensor.numpy().astype("<i8").tobytes())
        return digest.hexdigest()
