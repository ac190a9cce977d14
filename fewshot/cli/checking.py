"""`fewshot check`: findings about the texts and labels of a table, and a repaired copy of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fewshot.errors import ConfigError, TaskError
from fewshot.housekeeping import check_texts, repair_texts
from fewshot.housekeeping.personal import has_presidio
from fewshot.tables import Columns, PredictionWriter, Table, guess_columns, open_table
from fewshot.tables.predictions import check_new
from fewshot.tables.rows import cell_text

Rows = list[tuple[str, dict[str, Any]]]


def check_table(
    path: Path,
    text: str | None,
    label: str | None,
    fix: bool,
    output: Path | None,
    encoder: str | None,
    overwrite: bool = False,
) -> Iterator[str]:
    """Check a table, and write a repaired copy if asked; yields the lines to print.

    Args:
        path: the table; it is never written.
        text, label: names of columns; None guesses them. A table of one column has no labels.
        fix: repair what is safe.
        output: of the repaired table; a file that holds something is refused.
        encoder: its features find likely wrong labels; None is MiniLM.
        overwrite: replace an output that holds something.

    Raises:
        FewshotError: anything that the user can mend.
    """
    if fix != (output is not None) or str(output) == "-":
        got = "--fix with standard output" if fix and output else "--fix alone" if fix else f"-o {output} without --fix"
        raise ConfigError(f"Got {got}, expected both: --fix -o clean.csv, or neither. Correct it.")
    if output is not None and not overwrite:
        check_new(output, [path], resumable=False)
    table = open_table(path)
    columns = guess_columns(table, text, label, with_label=label is not None or len(table.columns) > 1)
    rows = list(table)
    yield from table.notes
    if not rows:
        raise TaskError(f"{path} has no texts. Add some, or name another file.")
    texts = [cell_text(record, columns.text, location, "--text") for location, record in rows]
    labels = []
    if columns.label is not None:
        labels = [cell_text(record, columns.label, location, "--label") for location, record in rows]
    places = [location.rpartition(", ")[2] for location, _ in rows]
    if output is None:
        yield from _findings(texts, labels, places, encoder)
        return
    inputs = [] if str(path) == "-" else [path]
    with PredictionWriter(output, table.columns, False, inputs, overwrite) as writer:
        yield from _findings(texts, labels, places, encoder)
        yield ""
        yield from _repaired(writer, table, columns, rows, texts, labels)


def _findings(texts: list[str], labels: list[str], places: list[str], encoder: str | None) -> Iterator[str]:
    if not any(labels):
        yield from check_texts(texts, places=places).lines()
        return
    from fewshot.episodes.multi_labelled import label_sets

    if label_sets([label for label in labels if label], "auto") is not None:
        yield from check_texts(texts, places=places).lines()
        yield "Some texts have several labels (a|b); labels were not checked."
        return
    from fewshot.encoders import SentenceTransformerEncoder

    cache = "auto" if has_presidio() else None  # personal data is not written to disk
    text_encoder = (
        SentenceTransformerEncoder(cache=cache) if encoder is None else SentenceTransformerEncoder(encoder, cache=cache)
    )
    yield from check_texts(texts, labels, text_encoder, places).lines()


def _repaired(
    writer: PredictionWriter, table: Table, columns: Columns, rows: Rows, texts: list[str], labels: list[str]
) -> Iterator[str]:
    repaired = repair_texts(texts, labels or [""] * len(texts))
    for row in repaired.kept:
        record = dict(rows[row][1])
        record[columns.text] = repaired.texts[row]
        if columns.label is not None:
            record[columns.label] = repaired.labels[row]
        writer.write([[record.get(column) for column in table.columns]])
    yield from repaired.lines()
    yield f"Wrote {writer.rows_written:,} of {len(rows):,} rows to {writer.name}."
