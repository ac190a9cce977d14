"""Make a checked Task from rows, for every source of texts."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from fewshot.errors import ConfigError, TaskError
from fewshot.tables import Row
from fewshot.tasks.splits import Split, check_split, make_split
from fewshot.tasks.task import PARTS, Task, normalise, parts_from_labels


@dataclass(frozen=True)
class Cleaned:
    """Usable rows, the classes that were left out as too small, and a sentence on each change."""

    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def clean_rows(rows: Iterable[Row], duplicates: Literal["error", "drop"], max_words: int, min_texts: int) -> Cleaned:
    """Rows with distinct texts, in file order, and notes on the others.

    A text that is twice in one class is kept once. The arguments are those of `load_folder`.

    Raises:
        ConfigError: `duplicates` is neither word.
        TaskError: a text under two classes, a text that is too long, no text at all.
    """
    if duplicates not in ("error", "drop"):
        raise ConfigError(f"Got task.duplicates={duplicates!r}, expected error or drop.")
    kept: dict[str, Row] = {}
    repeated, conflicting = 0, set()
    for row in rows:
        words = len(row.text.split())
        if words > max_words:
            raise TaskError(
                f"{row.place}: the text {row.text[:40]!r}… has {words:,} words, expected at most task.max_words="
                f"{max_words:,} (an encoder reads only the first few hundred). Shorten it, or raise task.max_words."
            )
        key = normalise(row.text)
        first = kept.setdefault(key, row)
        repeated += first is not row
        if first.label != row.label:
            conflicting.add(key)
            if duplicates == "error":
                raise TaskError(
                    f"The text {row.text[:80]!r} stands under two classes: {first.label!r} ({first.place}) and "
                    f"{row.label!r} ({row.place}). Remove one; in a run, task.duplicates=drop leaves both out."
                )
    result = [row for key, row in kept.items() if key not in conflicting]
    if not result:
        raise TaskError("The task has no texts. Add lines with a text and a label.")
    sizes = Counter(row.label for row in result)
    small = sorted(label for label, size in sizes.items() if size < min_texts)
    notes = []
    if repeated:
        notes.append(f"{repeated} texts that stood twice were left out ({len(conflicting)} of them in two classes).")
    if small:
        notes.append(f"{len(small)} classes with fewer than {min_texts} texts were left out: {', '.join(small[:5])}.")
    rows = tuple(row for row in result if sizes[row.label] >= min_texts)
    return Cleaned(rows, tuple(small), tuple(notes))


def build_task(
    name: str,
    cleaned: Cleaned,
    *,
    split: Split | None,
    split_id: str,
    label_names: Mapping[str, Any] | None = None,
    source: str = "the class split",
    published: bool = False,
) -> Task:
    """Make a Task from cleaned rows.

    The episodes of a published task depend on its name and the order of its rows. Those of any other depend on the
    texts alone: rows are sorted, so that another folder name or a shuffled file gives the same results.

    Args:
        name, cleaned: the task's name, and its rows.
        split, split_id: part → labels, made by `make_split` if None, and its name.
        label_names: label → readable name, or → {"name": ..., "description": ...}; else the label, spaces for `_`.
        source: file of the split, for messages.
        published: True if others know the task by its name.

    Raises:
        TaskError: fewer than two classes, a split that does not fit, label names of a wrong form.
    """
    rows, label_names = cleaned.rows, label_names or {}
    if not published:
        rows = tuple(sorted(rows, key=lambda row: (row.label, _digest(row.text))))
    classes = tuple(sorted({row.label for row in rows}))
    if len(classes) < 2:
        raise TaskError(
            f"The task {name!r} has {len(classes)} {'class' if len(classes) == 1 else 'classes'} "
            f"({', '.join(map(repr, classes))}), but two are needed to tell apart. Add texts of other classes."
        )
    has_split = split is not None and split != make_split(classes)  # which earlier versions saved unasked
    if split is None:
        split = make_split(classes)
    else:
        check_split(split, (*classes, *cleaned.left_out), source)
        split = {part: [label for label in labels if label not in cleaned.left_out] for part, labels in split.items()}
        emptied = [part for part in PARTS if not split[part]]
        if emptied:
            raise TaskError(
                f"{source}: all classes of {', '.join(emptied)} have too few texts and were left out, but each part "
                f"needs at least one. Lower task.min_texts, or add texts."
            )
    ids = {label: index for index, label in enumerate(classes)}
    names, descriptions = _names(classes, label_names)
    unused = sorted(set(classes) - {label for labels in split.values() for label in labels})
    without_texts = sorted(set(label_names) - {*classes, *cleaned.left_out})
    return Task(
        name=name,
        texts=tuple(row.text for row in rows),
        labels=torch.tensor([ids[row.label] for row in rows]),
        classes=classes,
        label_names=names,
        descriptions=descriptions if any(descriptions) else (),
        parts=parts_from_labels(classes, split),
        split=split_id,
        synonyms=tuple(row.synonyms for row in rows) if any(row.synonyms for row in rows) else (),
        notes=(
            *cleaned.notes,
            *_note(unused, "{} in no part of the class split are not used: {}. Add them to class_splits.json."),
            *_note(without_texts, "{} in label_names.json have no texts: {}. Correct their names there."),
        ),
        has_split=has_split,
        stream=name if published else _digest("\0".join(f"{row.label}\0{row.text}" for row in rows)),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _note(labels: Sequence[str], sentence: str) -> list[str]:
    shown = ", ".join(map(repr, labels[:5])) + (", …" if len(labels) > 5 else "")
    return [sentence.format(f"{len(labels)} classes", shown)] if labels else []


def _names(classes: Sequence[str], label_names: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names, descriptions = [], []
    for label in classes:
        entry = label_names.get(label, label.replace("_", " "))
        name = entry.get("name") if isinstance(entry, Mapping) else entry
        description = entry.get("description", "") if isinstance(entry, Mapping) else ""
        if not isinstance(name, str) or not name.strip() or not isinstance(description, str):
            raise TaskError(
                f"The label name of class {label!r} is {entry!r}, expected a text or an object with a name and a "
                f"description. Correct it in label_names.json."
            )
        names.append(name.strip())
        descriptions.append(description.strip())
    return tuple(names), tuple(descriptions)
