"""Read labelled texts from jsonl, csv, tsv or parquet; say precisely what is wrong with a file."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewshot.errors import ConfigError, TaskError

FORMATS = ("jsonl", "csv", "tsv", "parquet")


@dataclass(frozen=True)
class Row:
    """One labelled text; `place` says where it stands ("texts.csv, line 3")."""

    text: str
    label: str
    synonyms: tuple[str, ...]
    place: str


def task_folder(path: str | Path | None) -> Path:
    """The folder `task.path`; ConfigError if that is not set."""
    if not path:
        raise ConfigError("Got no task.path. Set task.path to the folder with texts.jsonl, .csv, .tsv or .parquet.")
    return Path(path).expanduser()


def find_texts(folder: Path, setting: str = "task.path") -> Path:
    """The one file `texts.*` of a task folder, which `setting` names in messages; TaskError if there is not one."""
    if not folder.is_dir():
        raise TaskError(
            f"The task folder {str(folder)!r} does not exist. Expected a folder with texts.jsonl, texts.csv, "
            f"texts.tsv or texts.parquet. Set {setting} to it."
        )
    found = [folder / f"texts.{suffix}" for suffix in FORMATS if (folder / f"texts.{suffix}").is_file()]
    if len(found) == 1:
        return found[0]
    files = "several files: " + ", ".join(path.name for path in found) if found else "no texts file"
    raise TaskError(
        f"The task folder {str(folder)!r} has {files}. Expected exactly one of texts.jsonl, texts.csv, texts.tsv, "
        f"texts.parquet."
    )


def read_rows(path: Path, text_column: str = "text", label_column: str = "label") -> Iterator[Row]:
    """Read a file of labelled texts, in file order; `synonyms` may be a list (jsonl, parquet) or separated by `|`.

    Raises:
        TaskError: not UTF-8, not valid in its format, a column missing, an empty text or label.
    """
    place = None
    for place, record in _READERS[path.suffix](path):
        check_column(record, text_column, place, "Rename the column, or set task.text_column.")
        check_column(record, label_column, place, "Rename the column, or set task.label_column.")
        yield Row(
            text=_text(record[text_column], text_column, place),
            label=_label(record[label_column], label_column, place),
            synonyms=_synonyms(record.get("synonyms")),
            place=place,
        )
    if place is None:
        raise TaskError(
            f"{path} has no labelled texts. Expected one a line, each with {text_column!r} and {label_column!r}. "
            f"Add some, or set task.path to another folder."
        )


def read_texts(path: Path, column: str = "text") -> Iterator[str]:
    """Read one column (or key) of a file, in file order; as `read_rows`, without labels."""
    for place, record in _READERS[path.suffix](path):
        check_column(record, column, place, f"Rename the column of the texts to {column!r}.")
        yield _text(record[column], column, place)


def read_json(path: Path) -> Any:
    """Read a JSON file; TaskError if it is not UTF-8 or not JSON."""
    try:
        return json.loads(_decoded(path))
    except json.JSONDecodeError as error:
        raise TaskError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}. Mend that line."
        ) from error


def check_column(record: Mapping[str, Any], column: str, place: str, advice: str) -> None:
    """Refuse a record without a column, with a TaskError that names those that it has."""
    if column in record:
        return
    # Spreadsheets in half of the world save "csv" with semicolons.
    only, *others = record or ("",)
    mark = next((mark for mark in (";", "\t", ",", "|") if mark in only and not others), None)
    hint = f"The columns seem to be separated by {mark!r}: save as .csv with ',' or .tsv. " if mark else ""
    columns = ", ".join(map(repr, record)) or "none"
    raise TaskError(f"{place} has no column {column!r}; it has {columns}. {hint}{advice}")


def _text(value: Any, column: str, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _unusable(value, f"{place}: the text in column {column!r}", "a text that is not empty")
    return value.strip()


def _label(value: Any, column: str, place: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise _unusable(value, f"{place}: the label in column {column!r}", "the name of a class")
    return str(value).strip()


def _unusable(value: Any, cell: str, expected: str) -> TaskError:
    got = "missing" if value is None else "empty" if value == "" else repr(value)
    return TaskError(f"{cell} is {got}, expected {expected}. Fill it in or remove the line.")


def _synonyms(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    parts = value.split("|") if isinstance(value, str) else value if isinstance(value, list) else [value]
    return tuple(str(part) for part in parts if part)


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise TaskError(f"{path} could not be read: {error.strerror or error}. Make it readable.") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        guess = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "WINDOWS-1252"
        raise TaskError(
            f"{path}, line {line}: the byte 0x{content[error.start]:02x} is not UTF-8, which was expected. "
            f"Convert the file (iconv -f {guess} -t UTF-8 {path.name} > converted), and use the converted one."
        ) from error


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    # Not str.splitlines: it also cuts at U+2028 and its kin, which JSON allows inside strings.
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise TaskError(
                f"{place} is not valid JSON: {error.msg} at column {error.colno}. Expected one object a line, "
                f'like {{"text": "...", "label": "..."}}.'
            ) from error
        if not isinstance(record, dict):
            raise TaskError(f'{place} is {line[:40]!r}, expected an object like {{"text": "...", "label": "..."}}.')
        yield place, record


def _separated(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    delimiter = "\t" if path.suffix == ".tsv" else ","
    reader = csv.DictReader(io.StringIO(_decoded(path), newline=""), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            place = f"{path}, line {reader.line_num}"
            if None in record:
                raise TaskError(
                    f"{place} has {len(record) - 1 + len(record[None])} fields, expected {len(record) - 1} as in "
                    f"the header. Put texts that contain {delimiter!r} in double quotes."
                )
            yield place, record
    except csv.Error as error:
        raise TaskError(
            f"{path}, at the row that starts in line {reader.line_num + 1}: {error}. Expected {path.suffix[1:]} with "
            f"double quotes around texts that contain {delimiter!r}, quotes or line ends."
        ) from error


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise TaskError(
            f"Reading {path.name} needs pyarrow. Install it with: pip install 'fewshot-text[parquet]'"
        ) from error
    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise TaskError(f"{path} is not a parquet file: {reason}. Write the file again.") from error
    except OSError as error:
        raise TaskError(f"{path} could not be read: {error.strerror or error}. Make it readable.") from error
    for number, record in enumerate(table.to_pylist(), start=1):
        yield f"{path}, row {number}", record


_READERS = {".jsonl": _jsonl, ".csv": _separated, ".tsv": _separated, ".parquet": _parquet}
