"""Read labelled texts from jsonl, csv, tsv or parquet; say precisely what is wrong with a file."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
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
    """The folder that `task.path` names.

    Raises:
        ConfigError: it names none.
    """
    if not path:
        raise ConfigError("Got no task.path. Set task.path to the folder with texts.jsonl, .csv, .tsv or .parquet.")
    return Path(path).expanduser()


def find_texts(folder: Path, setting: str = "task.path") -> Path:
    """The one file `texts.*` of a task folder.

    Args:
        folder: where it is looked for.
        setting: what names the folder, for messages.

    Raises:
        TaskError: there is no such folder or file, or more than one.
    """
    if not folder.is_dir():
        raise TaskError(
            f"The task folder {str(folder)!r} does not exist. Expected a folder with texts.jsonl, texts.csv, "
            f"texts.tsv or texts.parquet. Set {setting} to it."
        )
    found = [folder / f"texts.{suffix}" for suffix in FORMATS if (folder / f"texts.{suffix}").is_file()]
    if len(found) == 1:
        return found[0]
    what = "several files: " + ", ".join(path.name for path in found) if found else "no texts file"
    raise TaskError(
        f"The task folder {str(folder)!r} has {what}. Expected exactly one of texts.jsonl, texts.csv, texts.tsv, "
        f"texts.parquet."
    )


def read_rows(path: Path, text_column: str = "text", label_column: str = "label") -> Iterator[Row]:
    """Read a file of labelled texts, in file order.

    A byte-order mark and Windows line ends are read past; the optional column `synonyms` is a list (jsonl,
    parquet) or separated by `|` (csv, tsv).

    Args:
        path: a file whose suffix is one of `FORMATS`.
        text_column: the column (or key) of the text.
        label_column: the column (or key) of the label.

    Raises:
        TaskError: not UTF-8, not valid in its format, a column missing, an empty text or label.
    """
    place = None
    for place, record in _READERS[path.suffix](path):
        for column in (text_column, label_column):
            if column not in record:
                setting = "task.text_column" if column == text_column else "task.label_column"
                raise TaskError(
                    f"{place} has no column {column!r}; it has {', '.join(map(repr, record)) or 'none'}. "
                    f"{_separator_hint(record)}Rename the column, or set {setting}."
                )
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
    """Read the texts of a file, in file order; other columns are not looked at.

    Args:
        path: a file whose suffix is one of `FORMATS`.
        column: the column (or key) of the text.

    Raises:
        TaskError: not UTF-8, not valid in its format, the column missing, an empty text.
    """
    for place, record in _READERS[path.suffix](path):
        if column not in record:
            raise TaskError(
                f"{place} has no column {column!r}; it has {', '.join(map(repr, record)) or 'none'}. "
                f"{_separator_hint(record)}Rename the column of the texts to {column!r}."
            )
        yield _text(record[column], column, place)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        TaskError: not UTF-8 or not JSON.
    """
    try:
        return json.loads(_decoded(path))
    except json.JSONDecodeError as error:
        raise TaskError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}. Mend that line."
        ) from error


def _separator_hint(columns: Iterable[str]) -> str:
    """Spreadsheets in half of the world save "csv" with semicolons."""
    only, *others = columns or ("",)
    found = next((mark for mark in (";", "\t", ",", "|") if mark in only), None)
    return (
        f"The columns seem to be separated by {found!r}: save as .csv with ',' or .tsv. "
        if found and not others
        else ""
    )


def _text(value: Any, column: str, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TaskError(
            f"{place}: the text in column {column!r} is {_shown(value)}, expected a text that is not empty. "
            f"Fill it in or remove the line."
        )
    return value.strip()


def _label(value: Any, column: str, place: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise TaskError(
            f"{place}: the label in column {column!r} is {_shown(value)}, expected the name of a class. "
            f"Fill it in or remove the line."
        )
    return str(value).strip()


def _shown(value: Any) -> str:
    return "missing" if value is None else "empty" if value == "" else repr(value)


def _synonyms(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    parts = value.split("|") if isinstance(value, str) else value if isinstance(value, list) else [value]
    return tuple(str(part) for part in parts if part)


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TaskError(f"{path} could not be read: {error.strerror or error}. Make it readable.") from error
    try:
        return content.decode("utf-8-sig")
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
