"""Find and read the labelled texts of a task: one file, or a folder with `texts.*` and JSON files beside it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fewshot.errors import ConfigError, TaskError
from fewshot.storage import user_path
from fewshot.tables import LabelledRows, guess_columns, open_table
from fewshot.tables.files import nearest
from fewshot.tables.opening import SUFFIXES
from fewshot.tables.wording import shown

FORMATS = ("jsonl", "csv", "tsv", "parquet", "xlsx")
TEXT_COLUMN, LABEL_COLUMN = "text", "label"
_SETTINGS = ("task.text_column", "task.label_column")


def task_path(path: str | int | Path | None) -> Path:
    """The folder or file `task.path`; ConfigError if that is not set."""
    if not path:
        raise ConfigError(
            "Got no task.path. Set task.path to the folder with texts.jsonl, .csv, .tsv, .parquet or .xlsx, or to one "
            "such file."
        )
    return user_path(path)


def find_texts(path: Path, setting: str = "task.path") -> Path:
    """The file itself, or the one file `texts.*` of a folder; else a TaskError that names `setting`."""
    if os.path.isdir(path):
        return _in_folder(path)
    if os.path.isfile(path) or path.suffix.lower() in SUFFIXES:
        return path  # opening it names the problem
    problem = "is neither a folder nor a file" if os.path.exists(path) else "does not exist"
    near = nearest(path)
    raise TaskError(
        f"The task folder {shown(path)!r} {problem}. Expected a folder with texts.jsonl, "
        f"texts.csv, texts.tsv, texts.parquet or texts.xlsx, or one such file. "
        f"{f'Did you mean {shown(near)}? ' if near else ''}Set {setting} to it."
    )


def _in_folder(folder: Path) -> Path:
    paths = [folder / f"texts.{suffix}" for suffix in FORMATS if os.path.isfile(folder / f"texts.{suffix}")]
    if len(paths) == 1:
        return paths[0]
    files = "several files: " + ", ".join(path.name for path in paths) if paths else "no texts file"
    raise TaskError(
        f"The task folder {shown(folder)!r} has {files}. Expected exactly one of "
        f"{', '.join(f'texts.{suffix}' for suffix in FORMATS)}. Name the file itself if it has another name."
    )


def labelled_rows(path: Path, text_column: str = TEXT_COLUMN, label_column: str = LABEL_COLUMN) -> LabelledRows:
    """The labelled texts of a file; columns with the default names are guessed if they are absent.

    Raises:
        TaskError: see `open_table`, `guess_columns` and `LabelledRows`; or no rows.
    """
    table = open_table(path)
    absent = [column for column in (TEXT_COLUMN, LABEL_COLUMN) if column not in table.columns]
    columns = guess_columns(
        table,
        None if text_column == TEXT_COLUMN in absent else text_column,
        None if label_column == LABEL_COLUMN in absent else label_column,
        settings=_SETTINGS,
    )
    return LabelledRows(table, columns, settings=_SETTINGS)


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a file, in file order; like `labelled_rows`, without labels."""
    table = open_table(path)
    named = TEXT_COLUMN if TEXT_COLUMN in table.columns else None
    settings = ("its name to 'text'", "")
    columns = guess_columns(table, named, with_label=False, settings=settings)
    return (row.text for row in LabelledRows(table, columns, settings=settings))


def read_json(path: Path) -> Any:
    """Read a JSON file; TaskError if it is not UTF-8 or not JSON."""
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise TaskError(f"{path} could not be read: {error.strerror or error}. Make it readable.") from error
    except json.JSONDecodeError as error:
        raise TaskError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}. Mend that line."
        ) from error
    except UnicodeDecodeError as error:
        raise TaskError(f"{path} is not UTF-8, which was expected: {error.reason}. Save it as UTF-8.") from error
    except (RecursionError, ValueError) as error:
        raise TaskError(f"{path} is nested too deeply, or has a number of too many digits. Mend it.") from error
