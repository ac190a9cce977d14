"""Parquet files, read in batches of rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fewshot.errors import TaskError
from fewshot.tables.table import Records, Table

_BATCH_ROWS = 1024


def row_group_runs(path: Path, name: str, rows: int) -> list[range]:
    """The row groups of a parquet file in runs of at least `rows` rows, but for the last; one run if it is empty."""
    with _file(path, name) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    runs, first, n_rows = [], 0, 0
    for number, size in enumerate(sizes):
        n_rows += size
        if n_rows >= rows or number == len(sizes) - 1:
            runs.append(range(first, number + 1))
            first, n_rows = number + 1, 0
    return runs or [range(0)]


def read_parquet(path: Path, name: str, groups: range | None = None) -> Table:
    """The rows of a parquet file, or of some of its row groups.

    Raises:
        TaskError: pyarrow is not installed, or the file is no parquet file or damaged.
    """
    with _file(path, name) as file:
        columns = file.schema_arrow.names

    def records() -> Records:
        with _file(path, name) as file:
            chosen = range(file.num_row_groups) if groups is None else groups
            number = sum(file.metadata.row_group(group).num_rows for group in range(chosen.start))
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=list(chosen)):
                for record in batch.to_pylist():
                    number += 1
                    yield f"{name}, row {number}", record

    return Table(name, columns, records)


@contextmanager
def _file(path: Path, name: str) -> Iterator[Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise TaskError(
            f"Reading {name} needs pyarrow. Install it with: pip install 'fewshot-text[parquet]'"
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except TaskError:
        raise
    except Exception as error:  # a damaged file raises errors of pyarrow or of Python
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:200]
        raise TaskError(f"{name} is not a parquet file: {reason}. Write the file again.") from error
