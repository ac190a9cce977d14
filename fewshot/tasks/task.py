"""A task: labelled texts, readable label names, and a split of the *classes* into three parts."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")


def normalise(text: str) -> str:
    """The form of a text for comparisons: NFKC, case-folded, single spaces.

    Example:
        >>> normalise("  Heart\\u00a0ATTACK ")
        'heart attack'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def class_members(classes: Int[Tensor, " n_texts"], n_classes: int) -> tuple[Int[Tensor, " n_members"], ...]:
    """The indices of the texts of each class, ascending.

    Example:
        >>> [members.tolist() for members in class_members(torch.tensor([1, 0, 1]), n_classes=3)]
        [[1], [0, 2], []]
    """
    return classes.argsort(stable=True).split(torch.bincount(classes, minlength=n_classes).tolist())


def text_digests(texts: Iterable[str]) -> set[str]:
    """12 hex digits for each text, the same for any spacing and capitals."""
    normalised = map(normalise, texts)
    return {hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12] for text in normalised}


@dataclass(frozen=True)
class ClassPools:
    """The texts of each class that episodes draw from.

    Args:
        classes: class ids, one per row.
        members: text indices of each class, padded with -1 behind `sizes`.
        sizes: number of texts of each class.
        names: the user's labels, for messages.
    """

    classes: Int[Tensor, " n_classes"]
    members: Int[Tensor, "n_classes largest"]
    sizes: Int[Tensor, " n_classes"]
    names: tuple[str, ...]

    @classmethod
    def from_labels(
        cls, labels: Int[Tensor, " n_texts"], classes: Sequence[int], names: Sequence[str] | None = None
    ) -> "ClassPools":
        """The texts of `classes`, in their order; `names` are those of all class ids, None: the ids."""
        groups = [(labels == c).nonzero().flatten() for c in classes]
        members = torch.nn.utils.rnn.pad_sequence(groups, batch_first=True, padding_value=-1)
        sizes = torch.tensor([len(group) for group in groups])
        return cls(torch.tensor(list(classes)), members, sizes, tuple(names[c] if names else str(c) for c in classes))

    def thinned(self, max_texts: int) -> "ClassPools":
        """The same classes with at most `max_texts` texts each, spread evenly over the texts of a class.

        Example:
            >>> pools = ClassPools.from_labels(torch.tensor([0] * 9 + [1] * 2), classes=[0, 1])
            >>> pools.thinned(3).members.tolist()
            [[0, 3, 6], [9, 10, -1]]
        """
        sizes = self.sizes.clamp(max=max_texts)
        indices = torch.arange(int(sizes.max())) * self.sizes[:, None] // sizes[:, None]
        padding = torch.arange(int(sizes.max())) >= sizes[:, None]
        members = self.members.gather(1, indices.masked_fill(padding, 0)).masked_fill(padding, -1)
        return replace(self, members=members, sizes=sizes)


@dataclass(frozen=True)
class Task:
    """Texts with class ids; ids index `classes`, which holds the user's own labels, sorted.

    Args:
        name: short name, used in files and tables.
        texts: distinct texts.
        labels: class id of each text.
        classes: the label of each class id.
        label_names: readable name of each class id.
        parts: class ids of meta-train, meta-valid and meta-test; disjoint.
        split: id of the class split.
        descriptions: a sentence on each class, "" for a class without.
        synonyms: for each text other names of the same thing, for augmentation only.
        notes: a sentence on each change while reading.
        has_split: True if the class split came with the task; one that was made is used on request only.
        stream: names the streams of its episodes; the name, or a hash of the texts of the user's own tasks.
        sources: data set → ids of its classes; no episode mixes them. A single task is its only source.
    """

    name: str
    texts: tuple[str, ...]
    labels: Int[Tensor, " n_texts"]
    classes: tuple[str, ...]
    label_names: tuple[str, ...]
    parts: Mapping[Part, tuple[int, ...]]
    split: str
    descriptions: tuple[str, ...] = ()
    synonyms: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    has_split: bool = True
    stream: str = ""
    sources: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.stream:
            object.__setattr__(self, "stream", self.name)
        if not self.sources:
            object.__setattr__(self, "sources", {self.name: tuple(range(len(self.classes)))})

    def __repr__(self) -> str:
        """Name and counts, not the texts."""
        if not self.has_split:
            return f"Task({self.name!r}, {len(self.texts):,} texts, {len(self.classes)} classes)"
        sizes = "/".join(str(len(self.parts[part])) for part in PARTS)
        return f"Task({self.name!r}, {len(self.texts):,} texts, {sizes} classes in train/valid/test)"

    def pools(self, part: Part) -> ClassPools:
        """The texts of one part by class, for the sampler."""
        return ClassPools.from_labels(self.labels, self.parts[part], self.classes)

    def source_pools(self, part: Part) -> dict[str, ClassPools]:
        """Source → the texts of one part by class, for episodes within one source; only sources with a class."""
        ids_of = {name: [c for c in self.parts[part] if c in set(classes)] for name, classes in self.sources.items()}
        return {name: ClassPools.from_labels(self.labels, ids, self.classes) for name, ids in ids_of.items() if ids}

    def source_of(self, label: int) -> str:
        """The source of a class id."""
        return next(name for name, classes in self.sources.items() if label in classes)

    def label_texts(self) -> list[str]:
        """The text to encode for each class: its name, and its description if it has one."""
        described = zip(self.label_names, self.descriptions or ("",) * len(self.classes), strict=True)
        return [f"{name}: {description}" if description else name for name, description in described]

    def nameless_classes(self) -> list[str]:
        """Classes whose readable name has no letters, so that it means nothing to an encoder."""
        named = zip(self.classes, self.label_names, strict=True)
        return [label for label, name in named if not any(character.isalpha() for character in name)]

    def digests(self, classes: Iterable[int], texts: Iterable[int] | None = None) -> set[str]:
        """Digests of the label names and texts of some classes, see `text_digests`; `texts` selects the texts."""
        chosen = set(classes)
        if texts is None:
            texts = (index for index, label in enumerate(self.labels.tolist()) if label in chosen)
        return text_digests([*(self.texts[index] for index in texts), *(self.label_names[label] for label in chosen)])

    @cached_property
    def sha256(self) -> str:
        """A hash of all that the results of a run depend on: texts, labels, the class split and label names."""
        return hashlib.sha256(json.dumps([self.texts_sha256, self.label_texts()]).encode()).hexdigest()

    @cached_property
    def texts_sha256(self) -> str:
        """A hash of all that episodes depend on: texts, labels and the class split."""
        digest = hashlib.sha256()
        for text, label in zip(self.texts, self.labels.tolist(), strict=True):
            digest.update(json.dumps([text, self.classes[label]]).encode())
        digest.update(json.dumps({part: [self.classes[c] for c in self.parts[part]] for part in PARTS}).encode())
        return digest.hexdigest()


def parts_from_labels(classes: Sequence[str], split: Mapping[str, Sequence[str]]) -> dict[Part, tuple[int, ...]]:
    """The class ids of a split given in labels, in the order of `classes`."""
    ids = {label: index for index, label in enumerate(classes)}
    return {part: tuple(sorted(ids[label] for label in split[part] if label in ids)) for part in PARTS}
