"""Files with one text, or one JSON object, a line; and standard input."""

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from fewshot.errors import TaskError
from fewshot.tables.encoding import Encoding, detect_encoding, lines_of, not_utf8, opened_text
from fewshot.tables.files import foreign, opened
from fewshot.tables.names import is_header
from fewshot.tables.table import Records, RecordsOrBlank, Table
from fewshot.tables.wording import short

TEXT = "text"  # the one column of a file with one text a line
_ONE_VALUE = " If the file is one JSON list, put each of its objects on a line (jq -c '.[]' FILE > texts.jsonl)."
_FIRST_OBJECTS = 100  # their keys are the columns


def read_lines(path: Path, name: str, encoding: Encoding) -> Table:
    """One text a line; blank lines are skipped."""

    def records() -> RecordsOrBlank:
        with opened_text(path, encoding, newline=None) as file:
            for number, line in enumerate(lines_of(file, name), start=1):
                yield (f"{name}, line {number}", {TEXT: line.strip()}) if line.strip() else None

    return Table(name, (TEXT,), records, _noted(encoding))


def read_stream(path: Path | None, name: str) -> Table:
    """One text a line of a pipe, or of standard input if `path` is None; each is given as soon as it arrives."""
    was_read = False

    def records() -> RecordsOrBlank:
        nonlocal was_read
        if was_read:
            raise TaskError(f"{name} was read already, and can be read only once. Put its texts into a file.")
        was_read = True
        with _bytes(path) as file:
            for number, text in enumerate(_decoded(file, name, table), start=1):
                yield (f"{name}, line {number}", {TEXT: text.strip()}) if text.strip() else None

    table = Table(name, (TEXT,), records, live=True)
    return table


@contextmanager
def _bytes(path: Path | None) -> Iterator[Iterable[bytes]]:
    if path is not None:
        with opened(path) as file:
            yield file
    elif sys.stdin is None:
        raise TaskError("There is no standard input to read. Name a file, or pipe texts into the command.")
    else:
        buffer: IO[bytes] | None = getattr(sys.stdin, "buffer", None)
        yield buffer if buffer is not None else (line.encode("utf-8", "surrogatepass") for line in sys.stdin)


def _decoded(lines: Iterable[bytes], name: str, table: Table) -> Iterator[str]:
    """Lines as text: UTF-8, or Windows-1252 if the first line that is not ASCII is not UTF-8."""
    codec = ""
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
            _check_first(line, name)
        if b"\0" in line:
            raise TaskError(f"{name}, line {number}: there is a NUL byte, expected text in UTF-8. Convert it.")
        try:
            text = line.decode(codec or "utf-8")
        except UnicodeDecodeError as error:
            if codec:
                raise not_utf8(f"{name}, line {number}", line[error.start]) from error
            codec = "cp1252"
            table.note(f"{name} was read as Windows-1252.")
            text = line.decode(codec, "replace")
        codec = codec or ("" if line.isascii() else "utf-8")
        yield text


def _check_first(line: bytes, name: str) -> None:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise TaskError(f"{name} is UTF-16, expected UTF-8. Convert it first: iconv -f UTF-16 -t UTF-8.")
    if found := foreign(None, line):
        raise TaskError(f"{name} seems to be {found[0]}, expected one text a line. Name the file in place of '-'.")
    text = line.decode("utf-8", "replace").strip()
    if _is_json(text) or is_header(re.split(r"[,;\t]", text)):
        raise TaskError(
            f"{name} starts with {short(text)}, like a table, expected one text a line. Name the file in place of '-'."
        )


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def read_jsonl(path: Path, name: str) -> Table:
    """One JSON object a line; the columns are the keys of the first hundred objects."""
    encoding = detect_encoding(path)

    def records() -> Records:
        # Not str.splitlines: it also cuts at U+2028 and its kin, which JSON allows inside strings.
        with opened_text(path, encoding, newline="\n") as file:
            for number, line in enumerate(lines_of(file, name), start=1):
                if line.strip():
                    yield f"{name}, line {number}", _object(line, f"{name}, line {number}")

    columns: dict[str, None] = {}
    try:
        for _, record in islice(records(), _FIRST_OBJECTS):
            columns.update(dict.fromkeys(record))
    except TaskError:
        if not columns:  # otherwise it is raised again when the whole table is read
            raise
    return Table(name, columns, records, _noted(encoding))


def _object(line: str, place: str) -> dict:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise TaskError(
            f"{place} is not valid JSON: {error.msg} at column {error.colno}. Expected one object a line, "
            f'like {{"text": "...", "label": "..."}}.{_ONE_VALUE if line.strip() in ("[", "{") else ""}'
        ) from error
    except RecursionError as error:
        raise TaskError(f"{place} is nested too deeply. Expected one flat object a line. Mend the line.") from error
    except ValueError as error:  # a whole number of more digits than Python reads
        raise TaskError(f"{place} has a number of too many digits. Put it in quotes, or remove it.") from error
    if not isinstance(record, dict):
        raise TaskError(
            f"{place} is {short(line.strip())}, expected an object like "
            f'{{"text": "...", "label": "..."}}. Mend the line.{_ONE_VALUE if isinstance(record, list) else ""}'
        )
    return record


def _noted(encoding: Encoding) -> tuple[str, ...]:
    return (encoding.note,) if encoding.note else ()
