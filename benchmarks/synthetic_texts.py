"""Texts whose features are drawn instead of encoded: a point around the mean of their class."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders import Encoder
from fewshot.encoders.source import Source
from fewshot.tasks.task import PARTS, Task

DIM = 384
_TOPICS = 300
_POOL = 4_099  # rows of noise, of which a text adds two: a prime, so that its number chooses both


def text_of(label: int, number: int) -> str:
    """A text of a class, by number."""
    return f"{label} {number}"


class SyntheticEncoder(Encoder):
    """Unit features around class means, and these around topics; variances fall off as those of sentences do.

    Only `compute` is other than in an encoder with weights: what makes features of texts, eight thousand at a time.
    """

    def __init__(self, n_classes: int, cache: str | None = None):
        super().__init__("synthetic", device="cpu", dtype="float32", cache=cache)
        self.n_classes = n_classes
        generator = torch.Generator().manual_seed(0)
        deviations = (1 + torch.arange(DIM) / 15).rsqrt()
        deviations /= deviations.norm()
        drawn = deviations * torch.randn(_TOPICS + n_classes + _POOL, DIM, generator=generator)
        topics, classes, self._noise = drawn.split([_TOPICS, n_classes, _POOL])
        self._means = normalize(topics[torch.arange(n_classes) % _TOPICS] + 0.7 * classes, dim=1)

    @property
    def backbone(self) -> nn.Module:
        """Nothing."""
        return self.module

    @property
    def portable_fingerprint(self) -> str:
        """As the fingerprint."""
        return self.fingerprint

    def compute(
        self, texts: Sequence[str], advance: Callable[[int], None] | None = None, updates: object = None
    ) -> Tensor:
        """Drawn features of texts that `text_of` made; others count as the first of the first class."""
        numbers = torch.tensor([_numbers(text) for text in texts])
        labels, first, second = numbers[:, 0], numbers[:, 1] % _POOL, numbers[:, 1] // _POOL % _POOL
        noise = self._noise[first] + self._noise[(second + 7 * first + 1) % _POOL]
        if advance is not None:
            advance(len(texts))
        return normalize(self._means[labels] + noise / 2**0.5, dim=1)

    def replace(self, **settings: Any) -> "SyntheticEncoder":
        """The same encoder with another cache."""
        return SyntheticEncoder(self.n_classes, settings.get("cache", self.cache))

    @cached_property
    def _source(self) -> Source:
        return Source(Path("."), hashlib.sha256(f"{self.n_classes} classes".encode()).hexdigest()[:16])

    def _load(self, folder: Path, dtype: torch.dtype) -> nn.Module:
        return nn.Identity()

    def _tokenized(self, texts: Sequence[str]) -> Any:
        raise NotImplementedError

    def _forward(self, batch: dict[str, Tensor]) -> Tensor:
        raise NotImplementedError


def _numbers(text: str) -> tuple[int, int]:
    label, _, number = text.partition(" ")
    return tuple(int(part) if part.isdigit() else 0 for part in (label, number))  # type: ignore[return-value]


def synthetic_task(sizes: tuple[int, int, int], per_class: int) -> Task:
    """A task of so many train, valid and test classes."""
    n_classes = sum(sizes)
    ends = (0, sizes[0], sizes[0] + sizes[1], n_classes)
    labels = torch.arange(n_classes).repeat_interleave(per_class)
    return Task(
        name="synthetic",
        texts=tuple(text_of(label, number) for number, label in enumerate(labels.tolist())),
        labels=labels,
        classes=tuple(map(str, range(n_classes))),
        label_names=tuple(f"{label} name" for label in range(n_classes)),
        parts={part: tuple(range(ends[place], ends[place + 1])) for place, part in enumerate(PARTS)},
        split="01",
    )
