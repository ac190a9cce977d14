"""The split of classes into meta-train, meta-valid and meta-test: read and checked, or made."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from fewshot.errors import TaskError
from fewshot.tasks.task import PARTS

Split = dict[str, list[str]]
MADE = "01"  # id of a split that `make_split` makes
FEWEST_TO_SPLIT = 4  # classes: one to train on, one to select on, two to test on


def make_split(classes: Sequence[str]) -> Split:
    """Split at least two classes 60/20/20 by the hash of their labels, independent of order and machine.

    Test has at least two classes, as an episode needs; train and valid have two from six classes on. Two or three
    classes are all in test.

    Example:
        >>> [len(make_split(list("abcdefghij"))[part]) for part in ("train", "valid", "test")]
        [6, 2, 2]
    """
    ordered = sorted(classes, key=lambda label: hashlib.sha256(label.encode()).hexdigest())
    test = max(2, round(0.2 * len(ordered))) if len(ordered) >= FEWEST_TO_SPLIT else len(ordered)
    valid = test if len(ordered) >= 6 else min(1, len(ordered) - test)
    train = len(ordered) - valid - test
    pieces = ordered[:train], ordered[train : train + valid], ordered[train + valid :]
    return {part: sorted(piece) for part, piece in zip(PARTS, pieces, strict=True)}


def choose_split(splits: Any, split: str, source: str) -> Split:
    """One split of the content of `class_splits.json`; TaskError if there is none of that id or form."""
    if not isinstance(splits, Mapping) or not all(isinstance(value, Mapping) for value in splits.values()):
        raise TaskError(
            f'{source} was expected to map split ids to parts, like {{"01": {{"train": [...], "valid": [...], '
            f'"test": [...]}}}}. Mend it, or remove it to have a split made.'
        )
    if split not in splits:
        known = ", ".join(splits) or "none"
        raise TaskError(f"{source} has no split {split!r}; it has {known}. Set task.split to one of them.")
    chosen = splits[split]
    missing = [part for part in PARTS if not isinstance(chosen.get(part), list) or not chosen[part]]
    if missing:
        raise TaskError(f"{source}: split {split!r} has no classes for {', '.join(missing)}. Add at least one to each.")
    return {part: [str(label) for label in chosen[part]] for part in PARTS}


def check_split(split: Split, classes: Sequence[str], source: str) -> None:
    """Refuse a split with a class in two parts, or without texts, with a TaskError that names `source`."""
    seen: dict[str, str] = {}
    for part in PARTS:
        for label in split[part]:
            if label in seen:
                where = f"twice in {part}" if seen[label] == part else f"in {seen[label]} and in {part}"
                raise TaskError(
                    f"{source}: class {label!r} is {where}. Meta-train, meta-valid and meta-test need different "
                    f"classes; remove it from one place."
                )
            seen[label] = part
    unknown = sorted(set(seen) - set(classes))
    if unknown:
        raise TaskError(
            f"{source}: class {unknown[0]!r} in {seen[unknown[0]]} has no texts ({len(unknown)} such classes). "
            f"Correct its name, add texts, or remove it."
        )
