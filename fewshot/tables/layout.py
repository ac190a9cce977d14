"""The layout of a file of cells: its separator, and whether its first row is a header."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from fewshot.tables.encoding import LONGEST_LINE
from fewshot.tables.names import known_names

SEPARATORS = (",", ";", "\t", "|")
_SHOWN = {"\t": "tabs", " ": "spaces"}
_MAX_ROWS = 1000  # that decide the layout
_SEP_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?[\d.,\s]*\d[\d.,\s]*%?")
_ONE_WORD = re.compile(r"[^\s.!?,;]+([ _-][^\s.!?,;]+)?")


@dataclass(frozen=True)
class Layout:
    """How the rows of a file are read.

    Args:
        separator: between cells.
        quotes: True if double quotes enclose cells.
        skip: lines above the table: one for Excel's `sep=;`.
        columns: names of the columns.
        header: True if the first row has the names.
        notes: sentences on what was recognised.
    """

    separator: str
    quotes: bool
    skip: int
    columns: tuple[str, ...]
    header: bool
    notes: tuple[str, ...]


def allow_long_cells() -> None:
    """Let the csv module read texts of more than 131,072 characters."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))


def find_layout(head: str, preferred: str, name: str) -> Layout | None:
    """The layout of a file by its first lines; None if it has no rows.

    Args:
        head: whole lines from its start.
        preferred: the separator that belongs to its suffix.
        name: for notes.
    """
    allow_long_cells()
    stated = _SEP_LINE.match(head)
    body = head[stated.end() :] if stated else head
    separator = stated.group(1) if stated else _separator(body, preferred)
    quotes = separator != "\t" or _consistent(_rows(body, separator, True), body, separator)
    rows = _rows(body, separator, quotes)
    if not rows:
        return None
    columns, header, notes = name_columns(rows, name)
    if separator != preferred:
        shown = _SHOWN.get(separator, repr(separator))
        notes = (f"Its columns are separated by {shown}.", *notes)
    if not quotes:
        notes = (*notes, "Its double quotes were read as part of the texts.")
    return Layout(separator, quotes, 1 if stated else 0, columns, header, notes)


def name_columns(rows: Sequence[Sequence[str]], name: str) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """Names of the columns, True if the first row has them, and notes; `rows` are the first rows, at least one.

    A column without a name, and each column of a file without a header, is called by its number.
    """
    header = has_header(rows)
    first = [cell.strip() for cell in rows[0]]
    while header and len(first) > 1 and not first[-1] and all(not "".join(row[len(first) - 1 :]) for row in rows):
        first.pop()  # separators at the end of each line
    columns: list[str] = []
    seen = Counter[str]()
    for number, cell in enumerate(first, start=1):
        column = wanted = cell if header and cell else f"column {number}"
        while seen[column]:
            seen[wanted] += 1
            column = f"{wanted} ({seen[wanted]})"
        seen[column] += 1
        columns.append(column)
    if header:
        return tuple(columns), True, ()
    called = "column is called" if len(columns) == 1 else "columns are called"
    last = f" to 'column {len(columns)}'" if len(columns) > 1 else ""
    return tuple(columns), False, (f"{name} has no header: its {called} 'column 1'{last}.",)


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """True if the first row has the names of the columns, False if it is the first text.

    It is a header if two cells are usual names of columns, and none if one of its cells occurs again below it (a
    label), or is a number above numbers. The row of a single column is one if it is a usual name, or a word or two.

    Example:
        >>> has_header([["message", "category"], ["My card is lost", "card"], ["Block it", "card"]])
        True
        >>> has_header([["My card is lost", "card"], ["Block it", "card"]])
        False
    """
    first, below = [cell.strip() for cell in rows[0]], rows[1:]
    known = known_names(first)
    if known >= 2 or (known and len(first) == 1) or not below:
        return True
    if len(first) == 1:
        return _ONE_WORD.fullmatch(first[0]) is not None and first[0] not in {row[0].strip() for row in below if row}
    for number, cell in enumerate(first):
        others = [row[number].strip() for row in below if number < len(row)]
        filled = [other for other in others if other]
        if cell and cell in filled:
            return False
        if filled and not known and _NUMBER.fullmatch(cell) and all(map(_NUMBER.fullmatch, filled)):
            return False
    return True


def is_tabbed(head: str) -> bool:
    """True if each of the first lines has the same number of tabs, one at least: a table in a .txt file."""
    counts = {line.count("\t") for line in head.splitlines()[:_MAX_ROWS] if line.strip()}
    return len(counts) == 1 and 0 not in counts


def _rows(text: str, separator: str, quotes: bool) -> list[list[str]]:
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
    return [row for row in islice(reader, _MAX_ROWS) if any(cell.strip() for cell in row)]


def _separator(text: str, preferred: str) -> str:
    """The separator with which most rows have as many cells as the first one, two at least."""

    def score(separator: str) -> float:
        rows = _rows(text, separator, True)
        width = len(rows[0]) if rows else 0
        if width < 2:
            return 0.0
        return sum(len(row) == width for row in rows) / len(rows) + bool(known_names(rows[0]))

    candidates = (preferred, *(mark for mark in SEPARATORS if mark != preferred))
    return max(candidates, key=score)


def _consistent(rows: list[list[str]], text: str, separator: str) -> bool:
    """True if quotes enclose cells; False if reading them as letters gives more rows, all of one width."""
    plain = _rows(text, separator, False)
    if len({len(row) for row in plain}) > 1:
        return True
    quoted = sum(cell.startswith('"') and cell.endswith('"') and len(cell) > 1 for row in plain for cell in row)
    opened = sum(cell.startswith('"') for row in plain for cell in row)
    return len(rows) >= len(plain) and quoted == opened
