"""A table: named columns, and rows that are read lazily."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

from fewshot.errors import TaskError

Record = dict[str, Any]
Records = Iterator[tuple[str, Record]]
RecordsOrBlank = Iterator[tuple[str, Record] | None]  # None is a row without a filled cell

_SAMPLE_ROWS = 500
_SAMPLE_CHARACTERS = 4_000_000  # of all cells in the sample


class Table:
    """Rows with named columns, read one after the other: iterating gives `(location, record)`.

    `location` is that of the row ("mails.csv, line 3"), `record` maps columns to cells. A file is read anew by each
    iteration, standard input once.

    Args:
        name: the path as it was given, for messages.
        columns: names of the columns, in the order of the file.
        records: starts to read the rows; those that are None are left out, and counted between others.
        notes: sentences on how the file was read.
        live: True if the rows come from a pipe or a terminal, so that none can be sampled.
    """

    def __init__(
        self,
        name: str,
        columns: Iterable[str],
        records: Callable[[], RecordsOrBlank],
        notes: Iterable[str] = (),
        live: bool = False,
    ) -> None:
        self.name = name
        self.columns = tuple(columns)
        self.live = live
        self.n_left_out = 0  # empty rows between others, once all are read
        self._records = records
        self._notes = list(notes)

    def __repr__(self) -> str:
        return f"Table({self.name!r}, columns={self.columns!r})"

    def __iter__(self) -> Records:
        blank, left_out, first = 0, 0, True
        try:
            for row in self._records():
                if row is None:
                    blank += not first
                    continue
                left_out, blank, first = left_out + blank, 0, False
                yield row
            self.n_left_out = left_out
            if left_out:
                self.note(f"Empty rows between others were left out: {left_out}.")
        except UnicodeDecodeError as error:  # it was whole when it was opened
            raise TaskError(f"{self.name} changed while it was read. Start again once it is written.") from error
        except OSError as error:
            raise TaskError(f"{self.name} could not be read: {error.strerror or error}. Make it readable.") from error

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how the table was read: its encoding, its separator, its sheet, its columns."""
        return tuple(self._notes)

    def note(self, sentence: str) -> None:
        """Add a sentence to the notes, once."""
        if sentence not in self._notes:
            self._notes.append(sentence)

    @cached_property
    def sample(self) -> tuple[Record, ...]:
        """The first 500 records at most, up to the first that cannot be read; none of standard input."""
        records: list[Record] = []
        characters = 0
        try:
            for _, record in () if self.live else self:
                records.append(record)
                characters += sum(len(cell) for cell in record.values() if isinstance(cell, str))
                if len(records) == _SAMPLE_ROWS or characters > _SAMPLE_CHARACTERS:
                    break
        except TaskError:  # raised again when the whole table is read
            pass
        return tuple(records)

    def cells(self, column: str) -> list[Any]:
        """The cells of a column that are not empty, in the sample."""
        return [record[column] for record in self.sample if record.get(column) not in (None, "")]
