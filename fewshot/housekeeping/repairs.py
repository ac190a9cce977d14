"""Safe repairs of texts and labels, each counted; nothing else changes."""

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
        texts, labels: of all rows, also of those that are left out.
        left_out: rows that are exact duplicates of an earlier one with the same label.
        changed: description of a repair → number of texts or labels that it changed.
        notes: sentences on checks that were left out.
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
        """The repairs, a line each."""
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
        labels: the label of each text, "" for none.

    Example:
        >>> repaired = repair_texts(["a &amp; b", "a & b", "c"], ["x", "x", "X "])
        >>> repaired.texts, repaired.labels, repaired.left_out
        (['a & b', 'a & b', 'c'], ['x', 'x', 'x'], (1,))
    """
    changed, repaired = {}, list(texts)
    for _, trouble, repair in possible_repairs():
        before, repaired = repaired, list(map(repair, repaired))
        changed[trouble] = _n_changed(before, repaired)
    main = spellings(labels)
    named = [main.get(label, label) for label in labels]
    changed["the spelling of a label"] = _n_changed(labels, named)
    left_out = tuple(later for _, later in exact_duplicates(repaired, named))
    return Repaired(repaired, named, left_out, changed, () if has_ftfy() else (FTFY_NOTE,))


def _n_changed(before: Sequence[str], after: Sequence[str]) -> int:
    return sum(old != new for old, new in zip(before, after, strict=True))
