"""Labelled rows: the texts and labels of a table, checked, with their locations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fewshot.errors import TaskError
from fewshot.tables.columns import Columns
from fewshot.tables.table import Table
from fewshot.tables.wording import listed, short

_MAX_EXACT = 2.0**53  # every whole number up to it is a float


@dataclass(frozen=True)
class Row:
    """One text.

    Args:
        text: without the white space around it.
        label: of its class; "" if no labels are read.
        synonyms: other names of the same thing.
        place: location in the file ("texts.csv, line 3").
    """

    text: str
    label: str
    synonyms: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class LabelledRows:
    """The rows of a table as texts and labels, read lazily.

    Labels are strings: whole numbers and truth values become their text. A cell with several labels (`a|b`) stays as
    it is. A column `synonyms` may be a list (jsonl, parquet) or separated by `|`.

    Args:
        table: an opened table.
        columns: of `guess_columns`; without a label column, labels are "".
        empty_texts: True keeps empty texts as "", so that each row of the table gives one.
        settings: names of the settings of the two columns, for messages.

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
        for location, record in self.table:
            check_column(record, text, location, f"Rename the column, or set {self.settings[0]}.")
            if label is not None:
                check_column(record, label, location, f"Rename the column, or set {self.settings[1]}.")
            yield Row(
                text=self._text(record[text], location),
                label="" if label is None else _label(record[label], label, location),
                synonyms=_synonyms(record.get("synonyms")),
                place=location,
            )

    def lists(self) -> tuple[list[str], list[str]]:
        """All texts, and their labels."""
        rows = list(self)
        return [row.text for row in rows], [row.label for row in rows]

    def _text(self, value: Any, location: str) -> str:
        if self.empty_texts and (value is None or value == ""):
            return ""
        if not isinstance(value, str) or not (value.strip() or self.empty_texts):
            raise _unusable(
                value, f"{location}: the text in column {short(self.columns.text)}", "a text that is not empty"
            )
        return value.strip()


def check_column(record: Mapping[str, Any], column: str, location: str, advice: str) -> None:
    """Raise a TaskError that names the columns of a record if it lacks one."""
    if column not in record:
        raise TaskError(f"{location} has no column {short(column)}; it has {listed(record)}. {advice}")


def cell_text(record: Mapping[str, Any], column: str, location: str, setting: str) -> str:
    """The text of a cell of any kind, without the white space around it; "" if it is empty.

    Raises:
        TaskError: a record without the column; `setting` names the option that chooses another.
    """
    check_column(record, column, location, f"Rename the column, or set {setting}.")
    return "" if record[column] is None else str(record[column]).strip()


def _label(value: Any, column: str, location: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT:
        value = int(value)
    cell = f"{location}: the label in column {short(column)}"
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
