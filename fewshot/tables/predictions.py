"""Predictions as a table that grows: complete lines only, and earlier rows are kept on resuming."""

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from fewshot.errors import ConfigError, StorageError
from fewshot.tables.wording import listed, shown

STANDARD_OUTPUT = "-"
_SEPARATORS = {".tsv": "\t", ".tab": "\t"}
_BINARY = getattr(os, "O_BINARY", 0)  # Windows
_JSON = (".jsonl", ".ndjson")
SUFFIXES = (".csv", *_SEPARATORS, *_JSON)
_REFUSED = (".xlsx", ".xlsm", ".xls", ".ods", ".parquet", ".pq", ".json")


class PredictionWriter:
    """Write rows to a csv, tsv or jsonl file, or to standard output, block by block.

    A file that holds something is replaced only with `overwrite`, and one that another process writes is refused.
    Each `write` hands its rows to the system in one piece, so that another program, or this one after it was killed,
    finds complete rows. With `resume`, a torn last row is cut off, and `rows_there` says how many input rows to skip.

    Args:
        path: file; its suffix .csv, .tsv or .jsonl is the format, any other is csv; "-" is standard output (csv).
        columns: names of the columns: the header, or the keys.
        resume: go on behind the complete rows of an earlier call.
        inputs: files that are read meanwhile, and must not be written.
        overwrite: replace a file that holds something.

    Raises:
        ConfigError: a format that is not written, an input as output, a file that holds something, or, to
            resume, one that has other columns.
        StorageError: the file cannot be written, or another process writes it.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "out.csv"
        >>> with PredictionWriter(path, ["text", "label"]) as writer:
        ...     writer.write([["My card, it is lost", "card"]])
        >>> print(path.read_text(encoding="utf-8"), end="")
        text,label
        "My card, it is lost",card
        >>> with PredictionWriter(path, ["text", "label"], resume=True) as writer:
        ...     writer.rows_there
        1
    """

    def __init__(
        self,
        path: Path | str,
        columns: Sequence[str],
        resume: bool = False,
        inputs: Iterable[Path | str] = (),
        overwrite: bool = False,
    ) -> None:
        self.columns = tuple(columns)
        self.rows_there = 0
        self.rows_written = 0
        self._to_stdout = str(path) == STANDARD_OUTPUT
        self._path = Path(os.path.expanduser(path))
        self.name = "standard output" if self._to_stdout else shown(path)
        suffix = self._path.suffix.lower()
        self._separator = None if suffix in _JSON else _SEPARATORS.get(suffix, ",")
        self._quoted = re.compile(f'[{self._separator}"\r\n]')
        self._whole = 0  # bytes of complete rows
        _check(self._path, self.name, suffix, resume and self._to_stdout, inputs)
        self._file = self._stdout() if self._to_stdout else self._opened(resume, overwrite)
        if not self._whole and self._separator is not None:
            self._put(self._line(self.columns))

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows in the order of the columns, in one piece; None is an empty cell.

        Raises:
            BrokenPipeError: nobody reads standard output any more.
            StorageError: any other failure; what was written before is whole.
        """
        lines = [self._line(row) for row in rows]
        self._put("".join(lines))
        self.rows_written += len(lines)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if not self._to_stdout and not self._file.closed:
            self._file.close()

    def __enter__(self) -> "PredictionWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._cut()
        self.close()

    def _stdout(self) -> Any:
        if sys.stdout is None:
            raise ConfigError("There is no standard output to write to. Name a file with -o.")
        buffer = getattr(sys.stdout, "buffer", None)
        return buffer if buffer is not None else _AsText(sys.stdout)

    def _opened(self, resume: bool, overwrite: bool) -> Any:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if os.path.exists(self._path) and not os.path.isfile(self._path):  # /dev/null, or a pipe
                return open(self._path, "wb", buffering=0)
            # For reading and writing, not truncated: nothing is changed before the file is locked.
            number = os.open(self._path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
            file = open(number, "rb+", buffering=0)  # noqa: SIM115 - `close` closes it
        except (OSError, ValueError) as error:
            raise self._failure(error) from error
        try:
            _lock(file, self.name)
            if resume:
                self._count()
            elif not overwrite:
                check_new(self._path)
            file.truncate(self._whole)
            file.seek(self._whole)
            return file
        except (ConfigError, StorageError):
            file.close()
            raise
        except (OSError, ValueError) as error:
            file.close()
            raise self._failure(error) from error

    def _count(self) -> None:
        """Count the complete rows of the file, and their bytes; refuse a file with other columns."""
        with open(self._path, "rb") as file:
            rows, end, size, quotes, first = 0, 0, 0, 0, b""
            for line in file:
                size += len(line)
                quotes += line.count(b'"') if self._separator is not None else 0
                first += b"" if rows else line
                if line.endswith(b"\n") and quotes % 2 == 0:  # neither torn nor inside a quoted cell
                    if rows == 0:
                        self._check_columns(first)
                    rows, end = rows + 1, size
        self._whole = end
        self.rows_there = max(0, rows - (self._separator is not None))

    def _check_columns(self, row: bytes) -> None:
        if self._separator is not None:
            same = row.decode("utf-8", "replace") == self._line(self.columns)
        else:
            record = None
            with contextlib.suppress(ValueError, RecursionError):
                record = json.loads(row)
            same = isinstance(record, dict) and tuple(record) == self.columns
        if not same:
            start = row[:80].decode("utf-8", "replace").strip()
            raise ConfigError(
                f"Cannot go on with {self.name}: it starts with {start!r}, expected the columns "
                f"{listed(self.columns)}. Name another output, or leave out --resume to write this one anew."
            )

    def _line(self, row: Sequence[Any]) -> str:
        if len(row) != len(self.columns):
            raise ValueError(f"Got {len(row)} cells, expected {len(self.columns)}, one for each column.")
        if self._separator is None:
            return json.dumps(dict(zip(self.columns, row, strict=True)), ensure_ascii=False) + "\n"
        return self._separator.join(map(self._cell, row)) + "\n"

    def _cell(self, value: Any) -> str:
        # The csv module of Python 3.11 leaves a lone carriage return without quotes, which then reads as a line end.
        text = "" if value is None else str(value)
        if self._quoted.search(text) or (not text and len(self.columns) == 1):
            return '"' + text.replace('"', '""') + '"'
        return text

    def _put(self, text: str) -> None:
        content = text.encode("utf-8", "replace")  # half of a surrogate pair cannot be written
        remaining = memoryview(content)
        try:
            while remaining:
                remaining = remaining[self._file.write(remaining) :]
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._cut()
            raise self._failure(error) from error
        self._whole += len(content)

    def _cut(self) -> None:
        """Cut off what is behind the last complete row."""
        if not self._to_stdout:
            with contextlib.suppress(OSError, ValueError):
                self._file.truncate(self._whole)

    def _failure(self, error: Exception) -> StorageError:
        reason = getattr(error, "strerror", None) or error
        kept = f" The {self.rows_there + self.rows_written:,} rows in it are complete." if self._whole else ""
        return StorageError(
            f"Could not write {self.name}: {reason}.{kept} Free some space or choose another output"
            f"{', and go on with --resume' if self._whole and not self._to_stdout else ''}."
        )


def check_new(path: Path | str, inputs: Iterable[Path | str] = (), resumable: bool = True) -> None:
    """Raise a ConfigError if an output is a file that holds something; the writer itself refuses an input."""
    path = Path(os.path.expanduser(path))
    if any(_is_same(path, Path(os.path.expanduser(read))) for read in inputs):
        return
    if str(path) != STANDARD_OUTPUT and os.path.isfile(path) and os.path.getsize(path):
        resume = "go on behind its rows with --resume, " if resumable else ""
        raise ConfigError(
            f"The output {shown(path)} is there already, and would be lost. Name another with -o, {resume}or replace "
            f"it with --overwrite."
        )


def _lock(file: Any, name: str) -> None:
    """Lock the file against other processes until it is closed, if the system can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StorageError(f"Another process writes {name}. Wait until it ends, or name another with -o.") from error
    except OSError:  # a disk without locks
        return


def _check(path: Path, name: str, suffix: str, resumed_stdout: bool, inputs: Iterable[Path | str]) -> None:
    if resumed_stdout:
        raise ConfigError("Got --resume with standard output, which keeps nothing. Name a file with -o.")
    if suffix in _REFUSED:
        raise ConfigError(
            f"Got the output {name}, expected a file that ends in .csv, .tsv or .jsonl. Name one with -o."
        )
    if os.path.isdir(path):
        raise ConfigError(f"The output {name} is a folder, expected a file. Name one in it, such as predictions.csv.")
    if any(_is_same(path, Path(os.path.expanduser(read))) for read in inputs):
        raise ConfigError(f"The output {name} is the file that is read, and would be lost. Name another with -o.")


def _is_same(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):  # one of them does not exist
        return False


class _AsText(io.RawIOBase):
    """A stream of bytes over one of text, for a standard output that takes text alone."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, content: Any) -> int:
        self._stream.write(bytes(content).decode())
        return len(content)

    def flush(self) -> None:
        if not self.closed:
            self._stream.flush()
