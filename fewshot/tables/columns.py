"""The columns of the texts and the labels: named, or guessed where they are clear."""

import difflib
import re
from dataclasses import dataclass
from typing import Any

from fewshot.errors import TaskError
from fewshot.tables.names import LABELS, TEXTS, by_name, is_metadata
from fewshot.tables.table import Table
from fewshot.tables.wording import listed, short

_NUMBER = re.compile(r"[-+$€£]?[\d.,\s]*\d[\d.,\s]*[%€$]?")
_MAX_COLUMNS = 12  # in a message


@dataclass(frozen=True)
class Columns:
    """The columns of the texts and of the labels; `label` is None if no labels are read."""

    text: str
    label: str | None = None


def guess_columns(
    table: Table,
    text: str | None = None,
    label: str | None = None,
    with_label: bool = True,
    settings: tuple[str, str] = ("--text", "--label"),
) -> Columns:
    """The columns of texts and labels: as named, else by usual names, else by content.

    Content decides only if there are two columns, one with long cells that differ and one with few short
    ones that recur. A guess is added to `table.notes`.

    Args:
        table: an opened table.
        text, label: names of the columns; None guesses them.
        with_label: True expects labels; False ignores `label`.
        settings: names of the settings of the two columns, for messages.

    Returns:
        Two different columns of the table, or one.

    Raises:
        TaskError: a missing column, columns that cannot be guessed, no rows, or numbers in place of texts.

    Example:
        >>> from fewshot.resources import shipped
        >>> from fewshot.tables import open_table
        >>> guess_columns(open_table(shipped("samples") / "mails.csv"))
        Columns(text='message', label='category')
    """
    label = label if with_label else None
    for name, setting in ((text, settings[0]), (label, settings[1])):
        if name is not None and name not in table.columns:
            raise _missing(table, name, setting)
    if text is not None and text == label:
        raise TaskError(f"Got the column {short(text)} for both texts and labels. Set {settings[0]} or {settings[1]}.")
    if not table.live and not table.sample:
        _check_first(table)
    if with_label and len(table.columns) == 1:
        name = short(table.columns[0])
        raise TaskError(
            f"{table.name} has only one column, {name}, expected texts and their labels. Add a column of labels "
            f"such as 'label', or check what separates the columns."
        )
    columns = _guess(table, text, label, with_label)
    if columns is None:
        raise _unclear(table, with_label, settings)
    _refuse_numbers(table, columns.text, settings[0])
    names = {columns.text, columns.label} - {text, label, "text", "label", None}
    if names and not table.live:
        table.note(
            f"Column {short(columns.text)} was taken as text."
            if columns.label is None
            else f"Columns {short(columns.text)} and {short(columns.label)} were taken as text and label."
        )
    return columns


def _guess(table: Table, text: str | None, label: str | None, with_label: bool) -> Columns | None:
    others = [column for column in table.columns if column not in (text, label)]
    named_label = label or by_name(others, LABELS)
    text = text or by_name([column for column in others if column != named_label], TEXTS)
    if with_label:
        label = label or by_name([column for column in others if column != text], LABELS)
    if len(table.columns) == 1:
        text = table.columns[0]
    elif len(table.columns) == 2 and text is None and label is None:
        text, label = _by_content(table, with_label) or (None, None)
    elif len(table.columns) == 2 and with_label:
        text = text or next(column for column in others if column != label)
        label = label or next((column for column in others if column != text and _may_be_label(table, column)), None)
    if text is None or (with_label and label is None):
        return None
    return Columns(text, label if with_label else None)


def _by_content(table: Table, with_label: bool) -> tuple[str, str] | None:
    """The two columns as text and label if their cells leave no doubt."""
    for text, label in (table.columns, table.columns[::-1]):
        texts, labels = ([str(cell) for cell in table.cells(column)] for column in (text, label))
        if not texts or not labels:
            continue
        long = sum(len(cell.split()) >= 3 for cell in texts) >= 0.6 * len(texts)
        distinct = len(set(texts)) >= 0.7 * len(texts)
        concise = max(map(len, labels)) <= 80 and sum(map(len, labels)) / len(labels) < _mean_length(texts) / 1.5
        recurring = len(set(labels)) <= max(2, 0.8 * len(labels)) if with_label else True
        if long and distinct and concise and recurring:
            return text, label
    return None


def _may_be_label(table: Table, column: str) -> bool:
    """False if the column beside the texts is an id, a date or a score, and so cannot be that of the labels."""
    cells = table.cells(column)
    return not is_metadata(column) and not (len(set(map(str, cells))) == len(cells) and all(map(_is_number, cells)))


def _mean_length(texts: list[str]) -> float:
    return sum(map(len, texts)) / len(texts)


def _check_first(table: Table) -> None:
    """Raise a TaskError if a table has no rows; reading the first one raises its own errors."""
    for _ in table:
        return
    raise TaskError(
        f"{table.name} has no texts: it has the columns {listed(table.columns)} and no rows below. Add some, or name "
        f"another file."
    )


def _refuse_numbers(table: Table, column: str, setting: str) -> None:
    cells = table.cells(column)
    if cells and all(map(_is_number, cells)):
        raise TaskError(
            f"The column {short(column)} of {table.name} has numbers, such as {short(cells[0])}, expected texts. Set "
            f"{setting} to the column of the texts: {_examples(table)}."
        )


def _is_number(cell: Any) -> bool:
    as_text = isinstance(cell, str) and len(cell) < 40 and _NUMBER.fullmatch(cell.strip()) is not None
    return as_text or isinstance(cell, (int, float))


def _missing(table: Table, column: str, setting: str) -> TaskError:
    near = difflib.get_close_matches(column[:100].casefold(), [name[:100].casefold() for name in table.columns], 1, 0.7)
    hint = next((f"Did you mean {short(name)}? " for name in table.columns if [name[:100].casefold()] == near), "")
    return TaskError(
        f"{table.name} has no column {short(column)}; it has {listed(table.columns)}. {hint}Rename the column, or set "
        f"{setting}."
    )


def _unclear(table: Table, with_label: bool, settings: tuple[str, str]) -> TaskError:
    which = "which columns hold the texts and the labels" if with_label else "which column holds the texts"
    cure = f"{settings[0]} and {settings[1]}" if with_label else settings[0]
    return TaskError(f"{table.name}: it is not plain {which}. It has {_examples(table)}. Set {cure}.")


def _examples(table: Table) -> str:
    """Columns with an example cell each."""
    examples = []
    for column in table.columns[:_MAX_COLUMNS]:
        cell = next(iter(table.cells(column)), None)
        examples.append(f"{short(column)} (empty)" if cell is None else f"{short(column)} (such as {_brief(cell)})")
    n_more = len(table.columns) - len(examples)
    return ", ".join(examples) + (f", … and {n_more} more" if n_more else "")


def _brief(cell: Any) -> str:
    return short(cell[:40] + "…" if isinstance(cell, str) and len(cell) > 40 else cell)
