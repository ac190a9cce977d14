"""Labelled texts with any number of labels each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from fewshot.episodes.label_sets import chosen_labels
from fewshot.episodes.labelled import plain_label, split_by
from fewshot.errors import ConfigError, TaskError
from fewshot.randomness import child_generator
from fewshot.tasks.task import normalise

SEPARATOR = "|"


@dataclass(frozen=True)
class MultiLabelledTexts:
    """The support of a classifier that gives a text several labels, or none.

    Args:
        texts: the labelled texts.
        classes: True for the labels of each text.
        labels: the user's labels.
        label_names: a readable name of each label, used like a text that has it; None: names are not used.

    Raises:
        TaskError: there are fewer than two labels, or lengths differ.
    """

    texts: Sequence[str]
    classes: Bool[Tensor, "n_texts n_classes"]
    labels: tuple[str | int, ...]
    label_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if tuple(self.classes.shape) != (len(self.texts), len(self.labels)):
            raise TaskError(
                f"Got labels of shape {tuple(self.classes.shape)} for {len(self.texts)} texts and {len(self.labels)} "
                f"labels, expected one row for each text."
            )
        if len(self.labels) < 2:
            raise TaskError(f"Got the labels {list(self.labels)}, expected two or more. Add texts of another label.")

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        label_sets: Iterable[Iterable[Any]],
        label_names: Mapping[Any, str] | None = None,
        labels: Iterable[Any] = (),
    ) -> "MultiLabelledTexts":
        """From the user's labels, which are sorted.

        Args:
            texts: the texts.
            label_sets: the labels of each text; a text may have none.
            label_names: label → readable name; labels that are only here have no text. None: not used.
            labels: further labels, which may have no text; one without a name and a text is never predicted.

        Raises:
            TaskError: see the class; or a label has no name, or is neither a string nor a whole number.

        Example:
            >>> MultiLabelledTexts.of(["a b", "c", "d"], [["x", "y"], [], ["y"]]).classes.int().tolist()
            [[1, 1], [0, 0], [0, 1]]
        """
        texts, rows = list(texts), [[plain_label(label) for label in row] for row in label_sets]
        if len(texts) != len(rows):
            raise TaskError(f"Got {len(texts)} texts and {len(rows)} sets of labels, expected one for each text.")
        names_of = None if label_names is None else {plain_label(label): name for label, name in label_names.items()}
        known = {*(label for row in rows for label in row), *map(plain_label, labels), *(names_of or {})}
        ordered = tuple(sorted(known, key=lambda label: (isinstance(label, str), label)))
        nameless = [] if names_of is None else [label for label in ordered if label not in names_of]
        if nameless:
            raise TaskError(f"The label {nameless[0]!r} has no label name. Add one, or leave label names out.")
        numbers = {label: number for number, label in enumerate(ordered)}
        classes = torch.zeros(len(texts), len(ordered), dtype=torch.bool)
        for index, row in enumerate(rows):
            classes[index, [numbers[label] for label in row]] = True
        return cls(texts, classes, ordered, None if names_of is None else tuple(names_of[label] for label in ordered))

    @property
    def counts(self) -> Int[Tensor, " n_classes"]:
        """Number of texts that have each label."""
        return self.classes.sum(0)

    def label_sets(self) -> list[tuple[str | int, ...]]:
        """The labels of each text."""
        return chosen_labels(self.labels, self.classes)

    def with_names_as_texts(self) -> "MultiLabelledTexts":
        """The support with the label names as texts of their labels, behind the others."""
        if self.label_names is None:
            return self
        classes = torch.cat([self.classes, torch.eye(len(self.labels), dtype=torch.bool)])
        return replace(self, texts=[*self.texts, *self.label_names], classes=classes, label_names=None)

    def folds(self, n_folds: int, seed: int) -> list[tuple[Int[Tensor, " n_kept"], Int[Tensor, " n_held"]]]:
        """The indices of kept and of held-out texts, for each fold; texts of rare labels are spread first.

        A text goes to the fold that has the fewest of its rarest label, and of those to the smallest one (iterative
        stratification, Sechidis et al. 2011, https://doi.org/10.1007/978-3-642-23808-6_10, in one pass). Copies of a
        text go to the same fold. The stream is `held out`.
        """
        generator = child_generator(seed, "held out")
        counts = self.counts.clamp(min=1)
        rarest = torch.where(self.classes, counts, len(self.texts) + 1).min(1)
        order = torch.randperm(len(self.texts), generator=generator)
        order = order[rarest.values[order].argsort(stable=True)]
        fold = torch.zeros(len(self.texts), dtype=torch.long)
        label_counts = torch.zeros(n_folds, len(self.labels), dtype=torch.long)
        sizes = torch.zeros(n_folds, dtype=torch.long)
        fold_of: dict[str, int] = {}
        for text in order.tolist():
            with_rarest = label_counts[:, rarest.indices[text]] if self.classes[text].any() else sizes
            smallest = int((with_rarest * (len(self.texts) + 1) + sizes).argmin())
            fold[text] = fold_of.setdefault(normalise(self.texts[text]), smallest)
            label_counts[fold[text]] += self.classes[text]
            sizes[fold[text]] += 1
        return split_by(fold, n_folds)


def label_sets(y: Any, multi_label: bool | str) -> list[tuple[Any, ...]] | None:
    """The labels of each text, or None if each text has one label.

    Args:
        y: lists, tuples or sets of labels; strings with labels between `|`; or a matrix of zeros and ones, whose labels
            are its columns' names, or their numbers from 0.
        multi_label: True or False, or `"auto"`: several labels if some are in a list, if `y` is a matrix, or if a
            string can be split at `|` into labels that are alone elsewhere.

    Raises:
        ConfigError: `multi_label` is something else.
        TaskError: a matrix of other numbers.

    Example:
        >>> label_sets(["late|broken", "late", "broken", ""], "auto")
        [('late', 'broken'), ('late',), ('broken',), ()]
        >>> label_sets(["yes|no", "maybe"], "auto") is None
        True
    """
    if not (multi_label == "auto" or isinstance(multi_label, bool)):
        raise ConfigError(f"Got multi_label={multi_label!r}, expected True, False or 'auto'. Correct it.")
    if multi_label is False:
        return None
    if is_indicator(y):
        columns, rows = indicator_columns(y), _matrix(y).tolist()
        if any(value not in (0, 1) for row in rows for value in row):
            raise TaskError(
                "Got a matrix of labels with other values than 0 and 1. Expected 1 where a text has a label."
            )
        return [tuple(label for label, value in zip(columns, row, strict=True) if value) for row in rows]
    values = y.tolist() if hasattr(y, "tolist") else list(y)
    if multi_label == "auto" and not any(map(_is_collection, values)) and not _splits(values):
        return None
    return [_labels_of(value) for value in values]


def is_indicator(y: Any) -> bool:
    """True if labels are a matrix with a column for each."""
    shape: tuple[int, ...] = tuple(getattr(y, "shape", ()))
    return len(shape) == 2 and shape[1] > 1


def indicator_columns(y: Any) -> list[Any]:
    """The labels of a matrix of zeros and ones: its columns' names, or their numbers from 0."""
    return list(y.columns) if hasattr(y, "columns") else list(range(y.shape[1]))


def as_array(label_sets: Sequence[tuple[Any, ...]], columns: Sequence[Any] | None = None) -> np.ndarray:
    """Labels of some texts as an array of tuples, or, with `columns`, as a matrix of zeros and ones."""
    if columns is not None:
        return np.array([[int(label in labels) for label in columns] for labels in label_sets], dtype=np.int64)
    array = np.empty(len(label_sets), dtype=object)
    for index, labels in enumerate(label_sets):
        array[index] = labels
    return array


def _matrix(y: Any) -> Any:
    for convert in ("toarray", "to_numpy"):
        if hasattr(y, convert):
            return getattr(y, convert)()
    return y


def _is_collection(value: Any) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) or len(getattr(value, "shape", ())) == 1


def _splits(values: Sequence[Any]) -> bool:
    strings = {value for value in values if isinstance(value, str)}
    parts = [_labels_of(value) for value in strings if SEPARATOR in value]
    return any(labels and all(label in strings for label in labels) for labels in parts)


def _labels_of(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        return tuple(dict.fromkeys(part.strip() for part in value.split(SEPARATOR) if part.strip()))
    if isinstance(value, (set, frozenset)):
        return tuple(sorted(value, key=lambda label: (isinstance(label, str), label)))
    return tuple(dict.fromkeys(value)) if _is_collection(value) else (value,)
