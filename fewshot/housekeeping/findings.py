"""What a check found: counts, places, examples, and a sentence of what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

N_EXAMPLES = 3
_SHOWN = 100  # characters of a text in an example


@dataclass(frozen=True)
class Finding:
    """One kind of trouble.

    Args:
        name: short and stable, such as `near duplicates`.
        sentence: what there is, with its count.
        advice: what to do.
        rows: the texts concerned, as places in the list that was checked: the later one of a pair, the first one of a
            label.
        examples: three at most, each with its line.
    """

    name: str
    sentence: str
    advice: str
    rows: tuple[int, ...]
    examples: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of texts, pairs or labels concerned."""
        return len(self.rows)

    def lines(self) -> Iterator[str]:
        """The finding as it is printed."""
        yield f"{self.sentence} {self.advice}"
        yield from (f"  {example}" for example in self.examples)


@dataclass(frozen=True)
class Findings:
    """All that a check found.

    Args:
        n_texts: number of texts that were looked at.
        found: one of each kind of trouble that there is.
        notes: what was not looked at, and why.
    """

    n_texts: int
    found: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Finding:
        """The finding of a name; KeyError where there is none."""
        for finding in self.found:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(finding.name == name for finding in self.found)

    def lines(self) -> Iterator[str]:
        """The findings as they are printed, a summary first."""
        found = counted(len(self.found), "finding", "findings") if self.found else "nothing found"
        yield f"{counted(self.n_texts, 'text', 'texts')}: {found}."
        for finding in self.found:
            yield ""
            yield from finding.lines()
        if self.notes:
            yield ""
        yield from self.notes


def counted(count: int, one: str, many: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "text is", "texts are"), counted(2000, "text is", "texts are")
        ('1 text is', '2,000 texts are')
    """
    return f"{count:,} {one if count == 1 else many}"


def quoted(text: str) -> str:
    """A text as an example shows it: control characters made visible, its end cut off.

    Example:
        >>> quoted("a\\x00b"), len(quoted("long " * 100))
        ("'a\\\\x00b'", 103)
    """
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def of_rows(
    name: str, rows: Sequence[int], sentence: tuple[str, str], advice: str, places: Sequence[str], shown: Sequence[str]
) -> list[Finding]:
    """A finding of single texts, or nothing if there are no such texts.

    Args:
        name: see `Finding`.
        rows: the texts concerned.
        sentence: what they are, for one and for several: `("text is empty", "texts are empty")`.
        advice: see `Finding`.
        places: where each text stands.
        shown: each text as examples show it.
    """
    if not rows:
        return []
    examples = tuple(f"{places[row]}: {quoted(shown[row])}" for row in rows[:N_EXAMPLES])
    return [Finding(name, f"{counted(len(rows), *sentence)}.", advice, tuple(rows), examples)]
