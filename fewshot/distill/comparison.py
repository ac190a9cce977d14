"""Size and speed of a classifier, and the accuracies of two of them on the same texts."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fewshot.encoders import Encoder
from fewshot.evaluation.intervals import Estimate, paired_difference
from fewshot.text_classifier import TextClassifier

_TEXTS, _SINGLE = 512, 20  # timed in one call, and one by one
_SECONDS = 1.0  # minimum for the timing of many


@dataclass(frozen=True)
class Cost:
    """Size and speed of a classifier.

    Args:
        n_bytes: of the encoder's weights on disk.
        texts_per_second: of many texts in one call, without a cache.
        milliseconds: of a single text, the median.
    """

    n_bytes: int
    texts_per_second: float
    milliseconds: float

    @classmethod
    def of(cls, classifier: TextClassifier, texts: Sequence[str]) -> "Cost":
        """Measure it on at least one text."""
        fresh, texts = classifier.without_cache(), list(dict.fromkeys(texts))[:_TEXTS]
        fresh.predict(texts[:_SINGLE])  # loads
        n_read, started = 0, time.perf_counter()
        while (seconds := time.perf_counter() - started) < _SECONDS:
            fresh.predict(texts)
            n_read += len(texts)
        single = []
        for text in texts[:_SINGLE]:
            before = time.perf_counter()
            fresh.predict([text])
            single.append(1000 * (time.perf_counter() - before))
        return cls(bytes_of(classifier.encoder), n_read / seconds, statistics.median(single))

    def __str__(self) -> str:
        return f"{self.n_bytes / 1e6:.1f} MB, {self.texts_per_second:,.0f} texts/s, {self.milliseconds:.1f} ms a text"


@dataclass(frozen=True)
class Accuracies:
    """Shares of the same texts that teacher and student get right, and their difference with a 95 % interval."""

    teacher: float
    student: float
    difference: Estimate

    @classmethod
    def of(cls, teacher_right: Sequence[bool], student_right: Sequence[bool]) -> "Accuracies":
        """From the texts that each gets right."""
        before, after = torch.tensor(teacher_right).double(), torch.tensor(student_right).double()
        return cls(float(before.mean()), float(after.mean()), paired_difference(after, before))

    def __str__(self) -> str:
        return (
            f"teacher {100 * self.teacher:.1f} %, student {100 * self.student:.1f} %, difference "
            f"{self.difference.percent(sign=True)} points (95 % interval, paired) on {self.difference.n} texts"
        )


def bytes_of(encoder: Encoder) -> int:
    """Bytes that an encoder's weights take on disk, the published ones included unless all of them are replaced."""
    trained = encoder.trained
    changed = 0
    if trained is not None:
        for tensor in trained.tensors.values():
            dtype = trained.stored if tensor.is_floating_point() else tensor.dtype
            changed += tensor.numel() * dtype.itemsize
        if not encoder.HAS_LAYERS:
            return changed
    return changed + sum(file.stat().st_size for file in encoder.folder.rglob("*.safetensors"))
