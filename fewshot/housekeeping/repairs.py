"""Repairs that are safe: nobody would want the text or label as it was. Each is counted, and nothing else changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from fewshot.housekeeping.characters import FTFY_NOTE, has_ftfy, possible_repairs
from fewshot.housekeeping.duplicates import exact_duplicates
from fewshot.housekeeping.findings import counted
from fewshot.housekeeping.labels import spellings


@dataclass(frozen=True)
class Repaired:
    """Texts and labels after repair.

    Args:
        texts, labels: of all rows, those that are left out too.
        left_out: rows that are exact duplicates of an earlier one with the same label.
        changed: what was repaired → number of texts or labels that it changed.
        notes: what was not checked, and why.
    """

    texts: list[str]
    labels: list[str]
    left_out: tuple[int, ...]
    changed: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> list[int]:
        """Rows that are not left out."""
        return sorted(set(range(len(self.texts))).difference(self.left_out))

    def lines(self) -> list[str]:
        """What was done, a line each."""
        done = [
            f"Repaired {trouble} in {counted(count, 'row', 'rows')}."
            for trouble, count in self.changed.items()
            if count
        ]
        if self.left_out:
            copies = counted(len(self.left_out), "exact duplicate", "exact duplicates")
            done.append(f"Left out {copies}" + (" of the same label." if any(self.labels) else "."))
        return [*(done or ["Nothing to repair."]), *self.notes]


def repair_texts(texts: Sequence[str], labels: Sequence[str]) -> Repaired:
    """Repair what is safe: wrong encodings, entities, control characters, normal form, spellings of labels, copies.

    Args:
        texts: any; an empty one stays.
        labels: the label of each, "" where there is none.

    Example:
        >>> repaired = repair_texts(["a &amp; b", "a & b", "c"], ["x", "x", "X "])
        >>> repaired.texts, repaired.labels, repaired.left_out
        (['a & b', 'a & b', 'c'], ['x', 'x', 'x'], (1,))
    """
    changed, now = {}, list(texts)
    for _, trouble, repaired in possible_repairs():
        after = list(map(repaired, now))
        changed[trouble] = _n_changed(now, after)
        now = after
    main = spellings(labels)
    named = [main.get(label, label) for label in labels]
    changed["the spelling of a label"] = _n_changed(labels, named)
    left_out = tuple(later for _, later in exact_duplicates(now, named))
    return Repaired(now, named, left_out, changed, () if has_ftfy() else (FTFY_NOTE,))


def _n_changed(before: Sequence[str], after: Sequence[str]) -> int:
    return sum(old != new for old, new in zip(before, after, strict=True))
