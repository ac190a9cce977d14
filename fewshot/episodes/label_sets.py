"""The labels of texts that have several, by matrices of truth values."""

from collections.abc import Sequence
from typing import Any


def chosen_labels(labels: Sequence[str | int], chosen: Any) -> list[tuple[str | int, ...]]:
    """The labels that are chosen in each row of a matrix of truth values `[n, n_classes]`, of NumPy or torch."""
    return [tuple(label for label, yes in zip(labels, row, strict=True) if yes) for row in chosen.tolist()]
