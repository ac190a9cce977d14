"""Tables with separators: csv and tsv, as spreadsheets of any country write them."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from fewshot.errors import TaskError
from fewshot.tables.encoding import Encoding, lines_of, opened_text
from fewshot.tables.layout import Layout, allow_long_cells, find_layout
from fewshot.tables.table import Record, RecordsOrBlank, Table
from fewshot.tables.wording import shown

_HEAD = 1 << 20  # characters that decide the layout


def first_lines(path: Path, encoding: Encoding) -> str:
    """The first lines of a file, about a million characters, the last one whole."""
    with opened_text(path, encoding, newline="") as file:
        head = file.read(_HEAD)
        return head + next(lines_of(file, shown(path)), "") if len(head) == _HEAD else head


def read_separated(path: Path, name: str, encoding: Encoding, preferred: str) -> Table:
    """A table whose cells are separated by a character.

    Args:
        path, name: the file, and the path as it was given.
        encoding: of the file.
        preferred: the separator that belongs to its suffix.
    """
    layout = find_layout(first_lines(path, encoding), preferred, name)
    if layout is None:
        raise empty(name)

    def records() -> RecordsOrBlank:
        allow_long_cells()
        with opened_text(path, encoding, newline="") as file:
            lines = lines_of(file, name)
            for _ in range(layout.skip):
                next(lines, None)
            above = layout.header
            for line, row in _rows(lines, layout, name):
                if not row:
                    yield None
                elif above:
                    above = False
                else:
                    location = f"{name}, line {line}"
                    yield location, _record(row, layout, location)

    notes = (*((encoding.note,) if encoding.note else ()), *layout.notes)
    return Table(name, layout.columns, records, notes)


def empty(name: str) -> TaskError:
    """The error for a table without a header and rows."""
    return TaskError(
        f"{name} is empty: it has no texts. Expected a header such as text,label and a text a line below it. Add "
        f"some, or name another file."
    )


def _rows(lines: Iterator[str], layout: Layout, name: str) -> Iterator[tuple[int, list[str]]]:
    """Rows, with the lines on which they start; those without a filled cell are empty lists."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if layout.quotes else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=layout.separator, quoting=quoting, strict=True)
    start = layout.skip + 1
    try:
        for row in reader:
            yield start, row if any(cell and not cell.isspace() for cell in row) else []
            start = reader.line_num + layout.skip + 1
    except csv.Error as error:
        fault = "its quote is never closed" if "unexpected end" in str(error) or "limit" in str(error) else str(error)
        raise TaskError(
            f"{name}, at the row that starts in line {start}: {fault}. Expected double quotes around texts that "
            f"contain {layout.separator!r}, quotes or line ends, and two for each quote in them. Mend that row."
        ) from error


def _record(row: list[str], layout: Layout, location: str) -> Record:
    columns = layout.columns
    if len(row) > len(columns) and any(cell.strip() for cell in row[len(columns) :]):
        source = "the header" if layout.header else "the first line"
        raise TaskError(
            f"{location} has {len(row)} fields, expected {len(columns)} as in {source}. Put texts that contain "
            f"{layout.separator!r} in double quotes, or save one text a line as .txt."
        )
    missing: list[None] = [None] * (len(columns) - len(row))
    return dict(zip(columns, (*row, *missing), strict=False))
