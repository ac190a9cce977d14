"""Labelled rows: the texts and labels of a table, each checked and with its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fewshot.errors import TaskError
from fewshot.tables.columns import Columns
from fewshot.tables.table import Table
from fewshot.tables.wording import listed, short

_LARGEST_WHOLE = 2.0**53  # of a float, up to which every whole number has its own


@dataclass(frozen=True)
class Row:
    """One text.

    Args:
        text: without the white space around it.
        label: of its class, "" where no labels are read.
        synonyms: other names of the same thing.
        place: where it stands ("texts.csv, line 3").
    """

    text: str
    label: str
    synonyms: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class LabelledRows:
    """The rows of a table as texts and labels, read as they are asked for.

    Labels are strings: whole numbers and truth values become their text. A cell with several labels (`a|b`) stays as
    it is. A column `synonyms` may be a list (jsonl, parquet) or separated by `|`.

    Args:
        table: an opened table.
        columns: of `guess_columns`; without a label column, labels are "".
        empty_texts: whether an empty text is let through, as "", so that each row of the table gives one.
        settings: how a user names the two columns, for messages.

    Example:
        >>> from fewshot.resources import shipped
        >>> from fewshot.tables import guess_columns, open_table
        >>> table = open_table(shipped("samples") / "mails.csv")
        >>> rows = LabelledRows(table, guess_columns(table))
        >>> sorted({row.label for row in rows})
        ['account', 'delivery', 'lost card', 'refund', 'transfer']
    """

    table: Table
    columns: Columns
    empty_texts: bool = False
    settings: tuple[str, str] = ("--text", "--label")

    def __iter__(self) -> Iterator[Row]:
        """Rows in the order of the table.

        Raises:
            TaskError: a row without one of the columns, an empty label, a text that is no text.
        """
        text, label = self.columns.text, self.columns.label
        for place, record in self.table:
            check_column(record, text, place, f"Rename the column, or set {self.settings[0]}.")
            if label is not None:
                check_column(record, label, place, f"Rename the column, or set {self.settings[1]}.")
            yield Row(
                text=self._text(record[text], place),
                label="" if label is None else _label(record[label], label, place),
                synonyms=_synonyms(record.get("synonyms")),
                place=place,
            )

    def lists(self) -> tuple[list[str], list[str]]:
        """All texts, and their labels."""
        rows = list(self)
        return [row.text for row in rows], [row.label for row in rows]

    def _text(self, value: Any, place: str) -> str:
        if self.empty_texts and (value is None or value == ""):
            return ""
        if not isinstance(value, str) or not (value.strip() or self.empty_texts):
            raise _unusable(
                value, f"{place}: the text in column {short(self.columns.text)}", "a text that is not empty"
            )
        return value.strip()


def check_column(record: Mapping[str, Any], column: str, place: str, advice: str) -> None:
    """Refuse a record without a column, with a TaskError that names those that it has."""
    if column not in record:
        raise TaskError(f"{place} has no column {short(column)}; it has {listed(record)}. {advice}")


def _label(value: Any, column: str, place: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_WHOLE:
        value = int(value)
    cell = f"{place}: the label in column {short(column)}"
    if not isinstance(value, (str, int)) or not str(value).strip():
        raise _unusable(value, cell, "the name of a class")
    label = str(value).strip()
    try:
        label.encode()
    except UnicodeEncodeError as error:
        raise _unusable(value, cell, "letters, not half of a surrogate pair") from error
    return label


def _unusable(value: Any, cell: str, expected: str) -> TaskError:
    got = "missing" if value is None else "empty" if value == "" else short(value)
    return TaskError(f"{cell} is {got}, expected {expected}. Fill it in or remove the line.")


def _synonyms(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    parts = value.split("|") if isinstance(value, str) else value if isinstance(value, list) else [value]
    return tuple(str(part) for part in parts if part)
