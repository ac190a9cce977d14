"""An encoder whose weights are hashes, for tests of everything around it; cache and checks are the real ones."""

import hashlib
import os
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from fewshot.encoders import Encoder
from fewshot.encoders.source import Source

TINY = 2**40  # word ids are below


class FakeEncoder(Encoder):
    """Mean of one random vector per word, so that texts that share words are near each other.

    Args:
        dim: number of features.
        broken: what goes wrong while encoding: nothing, `nan`, `interrupt`.
        deaths: how often the process is killed while encoding; they are counted in the folder `graves`.
        graves: see `deaths`.
        cache: as in `Encoder`.
    """

    def __init__(
        self,
        dim: int = 16,
        broken: str | None = None,
        cache: str | None = None,
        deaths: int = 0,
        graves: str | None = None,
    ):
        super().__init__("fake", device="cpu", dtype="float32", cache=cache)
        self.dim, self.broken, self.deaths, self.graves = dim, broken, deaths, graves

    @property
    def backbone(self) -> nn.Module:
        return self.module

    @property
    def portable_fingerprint(self) -> str:
        return self.fingerprint

    @cached_property
    def _source(self) -> Source:
        return Source(Path("."), f"fake-{self.dim}")

    def _load(self, folder: Path, dtype: torch.dtype) -> nn.Module:
        return nn.Identity()

    def _tokenized(self, texts: Sequence[str]) -> "_Words":
        if self.broken == "interrupt":
            raise KeyboardInterrupt
        if self.graves is not None and len(os.listdir(self.graves)) < self.deaths:
            tempfile.mkstemp(dir=self.graves)
            os.kill(os.getpid(), signal.SIGKILL)
        return _Words([[_word_id(word) for word in text.casefold().split()] for text in texts])

    def _forward(self, batch: dict[str, Tensor]) -> Tensor:
        rows = [torch.stack([self._vector(i) for i in ids if i >= 0]).mean(0) for ids in batch["ids"].tolist()]
        features = torch.nn.functional.normalize(torch.stack(rows), dim=1)
        return features * float("nan") if self.broken == "nan" else features

    def _vector(self, word: int) -> Tensor:
        return torch.randn(self.dim, generator=torch.Generator().manual_seed(word))


@dataclass(frozen=True)
class _Words:
    ids: list[list[int]]
    n_truncated: int = 0

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self.ids]

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        rows = [torch.tensor(self.ids[index]) for index in indices]
        return {"ids": nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)}


def _word_id(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big") % TINY
