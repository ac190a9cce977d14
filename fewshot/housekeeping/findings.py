"""Findings of a check: counts, rows, examples and advice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fewshot.housekeeping.personal import has_presidio, mask_personal_data

N_EXAMPLES = 3
_MAX_LENGTH = 100  # characters of a text in an example
_PLURAL = {"is": "are", "has": "have", "does": "do"}


@dataclass(frozen=True)
class Finding:
    """One kind of trouble.

    Args:
        name: short and stable, such as `near duplicates`.
        sentence: the trouble, with its count.
        advice: what to do.
        rows: indices of the texts concerned: the later one of a pair, the first one of a label.
        examples: three at most, each with its line; personal data in them is masked.
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
    """All findings of a check.

    Args:
        n_texts: number of texts that were checked.
        found: one finding for each kind of trouble.
        notes: sentences on checks that were left out.
    """

    n_texts: int
    found: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Finding:
        """The finding of a name; KeyError if there is none."""
        return {finding.name: finding for finding in self.found}[name]

    def __contains__(self, name: object) -> bool:
        return any(finding.name == name for finding in self.found)

    def lines(self) -> Iterator[str]:
        """The findings as they are printed, a summary first."""
        summary = counted(len(self.found), "finding", "findings") if self.found else "nothing found"
        yield f"{counted(self.n_texts, 'text', 'texts')}: {summary}."
        for finding in self.found:
            yield ""
            yield from finding.lines()
        if self.notes:
            yield ""
        yield from self.notes


@dataclass(frozen=True)
class PlacedTexts:
    """Texts, and the location of each for examples, such as its line."""

    texts: Sequence[str]
    places: Sequence[str]

    def example(self, row: int) -> str:
        """A text with its location, as findings show it."""
        return f"{self.places[row]}: {quoted(self.texts[row])}"

    def about(self, name: str, rows: Sequence[int], trouble: str, advice: str) -> list[Finding]:
        """A finding about single texts; an empty list if there are none.

        Args:
            name, rows, advice: see `Finding`.
            trouble: the predicate of the sentence, such as "is empty".

        Example:
            >>> PlacedTexts(["", "a", ""], ["line 1", "line 2", "line 3"]).about("empty", [0, 2], "is empty", "")
            [Finding(name='empty', sentence='2 texts are empty.', advice='', rows=(0, 2), examples=("line 1: ''", ...))]
        """
        if not rows:
            return []
        verb, complement = trouble.split(" ", 1)
        sentence = f"{counted(len(rows), f'text {verb}', f'texts {_PLURAL[verb]}')} {complement}."
        return [Finding(name, sentence, advice, tuple(rows), tuple(map(self.example, rows[:N_EXAMPLES])))]


def counted(count: int, singular: str, plural: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "text is", "texts are"), counted(2000, "text is", "texts are")
        ('1 text is', '2,000 texts are')
    """
    return f"{count:,} {singular if count == 1 else plural}"


def quoted(text: str) -> str:
    """A text or label as examples show it: personal data is masked, control characters are visible, long ones are cut.

    Example:
        >>> quoted("a\\x00b"), quoted("from anna@example.com"), len(quoted("long " * 100))
        ("'a\\\\x00b'", "'from <EMAIL>'", 103)
    """
    if has_presidio():
        text = mask_personal_data([text])[0][0]
    return repr(text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…")
