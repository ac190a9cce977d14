"""The labelled texts that a model is adapted to, and their held-out parts."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.errors import TaskError
from fewshot.randomness import child_generator
from fewshot.tasks.task import class_members, normalise


def readable(label: str) -> str:
    """A label as words; an empty string if it has none, such as a number or a code.

    Example:
        >>> [readable(label) for label in ("card_arrival", "lostCard", "Refund?", "C12", "7")]
        ['card arrival', 'lost Card', 'Refund?', '', '']
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-/.]+", " ", label).strip()
    return " ".join(words.split()) if re.search(r"[^\W\d_]{2}", words) else ""


@dataclass(frozen=True)
class LabelledTexts:
    """The support of one classifier.

    Args:
        texts: the labelled texts.
        classes: the class of each text, from 0.
        labels: the user's label of each class.
        label_names: a readable name of each class, used like a text of it; None: names are not used.

    Raises:
        TaskError: there are fewer than two classes, a class has neither text nor name, or lengths differ.
    """

    texts: Sequence[str]
    classes: Int[Tensor, " n_texts"]
    labels: tuple[str | int, ...]
    label_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.classes):
            raise TaskError(f"Got {len(self.texts)} texts with {len(self.classes)} classes, expected one for each.")
        if self.label_names is not None and len(self.label_names) != len(self.labels):
            raise TaskError(
                f"Got {len(self.label_names)} label names for {len(self.labels)} labels, expected one for each."
            )
        if len(self.labels) < 2:
            raise TaskError(f"Got the labels {list(self.labels)}, expected two or more. Add texts of another class.")
        if len(self.classes) and not 0 <= int(self.classes.min()) <= int(self.classes.max()) < len(self.labels):
            raise TaskError(f"Got classes outside 0 to {len(self.labels) - 1}. Number them in the order of the labels.")
        empty = (self.counts == 0).nonzero().flatten().tolist()
        if empty and self.label_names is None:
            raise TaskError(
                f"The class {self.labels[empty[0]]!r} has no text and no label name, so nothing tells it from others. "
                f"Add a text, use label names, or leave the class out."
            )

    @classmethod
    def of(
        cls, texts: Iterable[str], labels: Iterable[Any], label_names: Mapping[Any, str] | None = None
    ) -> "LabelledTexts":
        """From the user's labels; classes are in the order of their names.

        Args:
            texts: a list, an array or a column.
            labels: the label of each text, likewise; strings, or whole numbers.
            label_names: label → readable name; classes that are only here have no text. None: not used.

        Raises:
            TaskError: see the class; or a label has no name, or is neither a string nor a whole number.

        Example:
            >>> LabelledTexts.of(["a b", "c d", "e"], ["y", "x", "y"]).classes.tolist()
            [1, 0, 1]
        """
        texts, labels = list(texts), [plain_label(label) for label in labels]
        names_of = None if label_names is None else {plain_label(label): name for label, name in label_names.items()}
        known = tuple(sorted({*labels, *(names_of or {})}, key=lambda label: (isinstance(label, str), label)))
        nameless = [] if names_of is None else [label for label in known if label not in names_of]
        if nameless:
            raise TaskError(f"The label {nameless[0]!r} has no label name. Add one, or leave label names out.")
        numbers = {label: number for number, label in enumerate(known)}
        names = None if names_of is None else tuple(names_of[label] for label in known)
        return cls(texts, torch.tensor([numbers[label] for label in labels], dtype=torch.long), known, names)

    @property
    def counts(self) -> Int[Tensor, " n_classes"]:
        """Number of texts of each class."""
        return torch.bincount(self.classes, minlength=len(self.labels))

    @property
    def members(self) -> tuple[Int[Tensor, " n_members"], ...]:
        """The indices of the texts of each class, ascending."""
        return class_members(self.classes, len(self.labels))

    def episode(self) -> EpisodeBatch:
        """The support as an episode without queries; indices are those of `texts`."""
        rows = torch.full((1, len(self.labels), int(self.counts.max())), -1)
        for way, members in enumerate(self.members):
            rows[0, way, : len(members)] = members
        return EpisodeBatch(torch.arange(len(self.labels))[None], rows, rows >= 0, rows[:, :, :0])

    def subset(self, chosen: Int[Tensor, " n_chosen"]) -> "LabelledTexts":
        """Some of the texts, of the same classes."""
        return replace(self, texts=[self.texts[index] for index in chosen.tolist()], classes=self.classes[chosen])

    def with_names_as_texts(self) -> "LabelledTexts":
        """The support with the label names as texts of their classes, behind the others."""
        if self.label_names is None:
            return self
        classes = torch.cat([self.classes, torch.arange(len(self.labels))])
        return replace(self, texts=[*self.texts, *self.label_names], classes=classes, label_names=None)

    def held_out(
        self, share: float, seed: int, max_texts: int | None = None
    ) -> tuple[Int[Tensor, " n_kept"], Int[Tensor, " n_held"]]:
        """Hold out a share of the texts of each class, rounded, at most `max_texts`.

        The only text of a class is kept; of two or more at least one is held out, and at least one kept. Copies of a
        text stay together and count once. The stream is `held out`.
        """
        generator = child_generator(seed, "held out")
        held_out = []
        for members in self._distinct:
            count = len(members)
            members = members[torch.randperm(count, generator=generator)]
            n_held = min(max(1, round(share * count)), max(0, count - 1), count if max_texts is None else max_texts)
            held_out.append(members[:n_held])
        is_held = torch.isin(self.first_copies, torch.cat(held_out))
        return (~is_held).nonzero().flatten(), is_held.nonzero().flatten()

    def folds(self, n_folds: int, seed: int) -> list[tuple[Int[Tensor, " n_kept"], Int[Tensor, " n_held"]]]:
        """The indices of kept and of held-out texts, for each of two or more folds of about equal size.

        The texts of a class go to the folds in turn, from a random first fold, so that small classes do not all leave
        the last fold empty; copies of a text go to the same one, and an empty fold is left out. The only text of a
        class is never held out. The stream is `held out`.
        """
        generator = child_generator(seed, "held out")
        fold = torch.full((len(self.texts),), -1)
        for members in self._distinct:
            first = int(torch.randint(n_folds, (), generator=generator))
            order = torch.randperm(len(members), generator=generator)
            if len(members) > 1:
                fold[members[order]] = (first + torch.arange(len(members))) % n_folds
        return split_by(fold[self.first_copies], n_folds)

    @cached_property
    def first_copies(self) -> Int[Tensor, " n_texts"]:
        """For each text the first of its class that equals it but for case and spaces."""
        first: dict[tuple[int, str], int] = {}
        keys = zip(self.classes.tolist(), map(normalise, self.texts), strict=True)
        return torch.tensor([first.setdefault(key, index) for index, key in enumerate(keys)], dtype=torch.long)

    @property
    def _distinct(self) -> tuple[Int[Tensor, " n_members"], ...]:
        """`members` without copies."""
        return tuple(members[self.first_copies[members] == members] for members in self.members)


def split_by(
    fold: Int[Tensor, " n_texts"], n_folds: int
) -> list[tuple[Int[Tensor, " n_kept"], Int[Tensor, " n_held"]]]:
    """The indices of kept and of held-out texts of each fold that has both, from the number of each text's fold."""
    masks = [fold == number for number in range(n_folds)]
    return [((~held).nonzero().flatten(), held.nonzero().flatten()) for held in masks if held.any() and not held.all()]


def as_known(labels: Iterable[Any], known: Iterable[str | int]) -> list[Any]:
    """The labels, each as the known one of the same text if there is one: tables and JSON write 3 and "3" alike.

    Example:
        >>> as_known([3, "4", "a"], ["3", 4])
        ['3', 4, 'a']
    """
    exact = set(known)
    by_text = {str(label): label for label in exact}
    return [label if label in exact else by_text.get(str(label), label) for label in labels]


def plain_label(label: Any) -> str | int:
    """A label as JSON can hold it; NumPy scalars are unwrapped."""
    plain = label.item() if hasattr(label, "item") else label
    if isinstance(plain, (str, int)):
        return plain
    raise TaskError(
        f"Got the label {label!r}, a {type(label).__name__}; expected a string or a whole number. Convert it, or leave "
        f"out the text that has it."
    )
