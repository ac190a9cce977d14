"""The labels of texts with several labels, from boolean matrices."""

from collections.abc import Sequence
from typing import Any


def chosen_labels(labels: Sequence[str | int], chosen: Any) -> list[tuple[str | int, ...]]:
    """The chosen labels of each row of a boolean matrix `[n, n_classes]` of NumPy or torch."""
    return [tuple(label for label, is_set in zip(labels, row, strict=True) if is_set) for row in chosen.tolist()]
