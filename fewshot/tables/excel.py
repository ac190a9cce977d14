"""Excel workbooks: the first sheet that has rows, its cells as text."""

import datetime
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, repeat
from pathlib import Path
from typing import Any

from fewshot.errors import TaskError
from fewshot.tables.layout import name_columns
from fewshot.tables.separated import empty
from fewshot.tables.table import RecordsOrBlank, Table

_MAX_ROWS = 1000  # that decide whether there is a header


def read_excel(path: Path, name: str) -> Table:
    """The first visible sheet with rows; numbers, dates and truth values become the text that they are shown as.

    Raises:
        TaskError: openpyxl is not installed, or the file is no workbook or damaged.
    """
    with _workbook(path, name) as book:
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
        for sheet in sheets:
            first = [cells for _, cells in islice(_rows(sheet), _MAX_ROWS)]
            if first:
                break
        else:
            raise empty(name)
        title, n_sheets = sheet.title, len(book.worksheets)
    width = max(map(len, first))
    columns, header, notes = name_columns([row + [""] * (width - len(row)) for row in first], name)
    source = f"{name}, sheet {title!r}" if n_sheets > 1 else name

    def records() -> RecordsOrBlank:
        with _workbook(path, name) as book:
            last = 0
            for count, (number, cells) in enumerate(_rows(book[title])):
                yield from repeat(None, number - last - 1)
                last = number
                if count or not header:
                    location = f"{source}, row {number}"
                    if len(cells) > len(columns):
                        raise TaskError(
                            f"{location} has {len(cells)} cells, expected {len(columns)}. Name all columns in the "
                            f"first row, or clear those beside the table."
                        )
                    yield location, dict(zip(columns, cells + [""] * (len(columns) - len(cells)), strict=True))

    return Table(
        name, columns, records, (*([f"Sheet {title!r} of {n_sheets} was read."] if n_sheets > 1 else []), *notes)
    )


@contextmanager
def _workbook(path: Path, name: str) -> Iterator[Any]:
    try:
        import openpyxl
    except ImportError as error:
        raise TaskError(
            f"Reading {name} needs openpyxl. Install it with: pip install 'fewshot-text[excel]', or save the sheet as "
            f"CSV UTF-8."
        ) from error
    book = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and validations, which are not read
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        yield book
    except (TaskError, OSError):
        raise
    except Exception as error:  # zipfile, XML parsers and openpyxl raise many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]
        raise TaskError(
            f"{name} is not a workbook that can be read: {reason}. Open it in Excel or LibreOffice and save it again "
            f"as .xlsx, or as CSV UTF-8."
        ) from error
    finally:
        if book is not None:
            book.close()


def _rows(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows with a filled cell, without the empty ones at their end, and their numbers."""
    sheet.reset_dimensions()  # the size that a file states is often wrong
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        row = [_text(cell) for cell in cells]
        while row and not row[-1].strip():
            row.pop()
        if row:
            yield number, row


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime):  # a date is stored as its midnight
        return cell.date().isoformat() if cell.time() == datetime.time() else cell.isoformat(" ")
    if isinstance(cell, (datetime.date, datetime.time)):
        return cell.isoformat()
    return str(cell)
