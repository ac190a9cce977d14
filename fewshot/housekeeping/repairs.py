"""Repairs that are safe: nobody would want the text or label as it was. Each is counted, and nothing else changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fewshot.housekeeping.characters import (
    in_normal_form,
    mojibake_is_told,
    without_control,
    without_entities,
    without_mojibake,
)
from fewshot.housekeeping.duplicates import exact_duplicates
from fewshot.housekeeping.findings import counted
from fewshot.housekeeping.labels import spellings

_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("letters of a wrong encoding", without_mojibake),
    ("entities of HTML", without_entities),
    ("control characters", without_control),
    ("another normal form", in_normal_form),
)


@dataclass(frozen=True)
class Repaired:
    """Texts and labels after repair.

    Args:
        texts, labels: of all rows, those that are left out too.
        dropped: rows that are exact duplicates of an earlier one with the same label.
        changed: what was repaired → number of texts or labels that it changed.
        notes: what was not looked at, and why.
    """

    texts: list[str]
    labels: list[str]
    dropped: tuple[int, ...]
    changed: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> list[int]:
        """Rows that are not left out."""
        dropped = set(self.dropped)
        return [row for row in range(len(self.texts)) if row not in dropped]

    def lines(self) -> list[str]:
        """What was done, a line each."""
        done = [f"Repaired {name} in {counted(count, 'row', 'rows')}." for name, count in self.changed.items() if count]
        if self.dropped:
            done.append(
                f"Left out {counted(len(self.dropped), 'exact duplicate', 'exact duplicates')} of the same label."
            )
        return [*(done or ["Nothing to repair."]), *self.notes]


def repair_texts(texts: Sequence[str], labels: Sequence[str]) -> Repaired:
    """Repair what is safe: broken encodings, entities, control characters, normal form, ways to write a label, copies.

    Args:
        texts: any; an empty one stays.
        labels: the label of each, "" where there is none.

    Example:
        >>> repaired = repair_texts(["a &amp; b", "a & b", "c"], ["x", "x", "X "])
        >>> repaired.texts, repaired.labels, repaired.dropped
        (['a & b', 'a & b', 'c'], ['x', 'x', 'x'], (1,))
    """
    changed, mended = {}, list(texts)
    notes: tuple[str, ...] = ()
    for name, step in _STEPS:
        if step is without_mojibake and not mojibake_is_told():
            notes = (MOJIBAKE_NOTE,)
            continue
        after = [step(text) for text in mended]
        changed[name] = sum(old != new for old, new in zip(mended, after, strict=True))
        mended = after
    main = spellings(labels)
    named = [main.get(label, label) for label in labels]
    changed["the spelling of a label"] = sum(old != new for old, new in zip(labels, named, strict=True))
    dropped = tuple(later for _, later in exact_duplicates(mended, named))
    return Repaired(mended, named, dropped, changed, notes)


MOJIBAKE_NOTE = (
    "Letters of a wrong encoding were not looked for: that needs ftfy. Install it with: pip install "
    "'fewshot-text[check]'"
)
