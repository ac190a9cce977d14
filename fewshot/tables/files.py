"""Files as bytes: messages for missing files, and for files of other kinds, whatever their suffix."""

import contextlib
import difflib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from fewshot.errors import TaskError
from fewshot.tables.wording import listed, shown

_SAVE = "Open it in Excel or LibreOffice, and save it as .xlsx or as CSV UTF-8."
_COPY = "Put its texts into a .csv with a column of texts and one of labels, or into a .txt with one text a line."
_WEB = "Open it in Excel or LibreOffice, and save its table as .xlsx or as CSV UTF-8."
_UNPACK = "Unpack it, and name the file inside."
WORKBOOK = ("an Excel workbook", "Rename it so that it ends in .xlsx.")
ARCHIVE = ("a zip archive", _UNPACK)
# First bytes → what such a file is, and the cure.
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file (.xls, .doc), or a workbook with a password", _SAVE),
    (b"%PDF", "a PDF", _COPY),
    (b"{\\rtf", "a document of a word processor (RTF)", _COPY),
    (b"\x1f\x8b", "compressed with gzip", _UNPACK),
    (b"BZh", "compressed with bzip2", _UNPACK),
    (b"\xfd7zXZ", "compressed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"PAR1", "a parquet file", "Rename it so that it ends in .parquet."),
    (b"ARROW1", "an Arrow file (feather)", "Save it as .parquet or .csv."),
    (b"SQLite format 3", "an SQLite database", "Export its table as .csv."),
    (b"\x80\x04\x95", "a Python pickle", "Save it as .csv, .jsonl or .parquet."),
    (b"\x89PNG", "a picture (PNG)", _COPY),
    (b"\xff\xd8\xff", "a picture (JPEG)", _COPY),
    (b"\x7fELF", "a program", "Name a file of texts."),
)
# A name inside a zip file → the same.
_ZIPPED: tuple[tuple[str, str, str], ...] = (
    ("xl/workbook.xml", *WORKBOOK),
    ("xl/workbook.bin", "a binary Excel workbook (.xlsb)", _SAVE),
    ("word/document.xml", "a Word document", _COPY),
    ("ppt/presentation.xml", "a PowerPoint presentation", _COPY),
    ("content.xml", "an OpenDocument file (.ods, .odt)", _SAVE),
)
_MARKUP = (b"<!doctype html", b"<html", b"<table", b"<?xml")
_MAX_NAMES = 5000  # of a folder that are compared with a missing one


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, open for reading bytes; a TaskError says why it cannot be opened."""
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TaskError(f"{shown(path)} could not be read: {reason}. Make it readable.") from error
    with file:
        yield file


def is_stream(path: Path) -> bool:
    """True if a path is a pipe or a terminal, which can be read only once."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def check_file(path: Path, expected: str) -> None:
    """Raise a TaskError if a path is no file; the message names the most similar file.

    Args:
        path: as it was given, with the home folder filled in.
        expected: "a file that ends in .csv, ...".
    """
    if os.path.isdir(path):
        tables = [name for name in _names(path) if name.lower().endswith((".csv", ".tsv", ".jsonl", ".xlsx", ".txt"))]
        hint = f"It has {listed(sorted(tables)[:5])}: name one of them." if tables else "Name a file in it."
        raise TaskError(f"{shown(path)} is a folder, expected {expected}. {hint}")
    if os.path.exists(path):
        return
    parent = path.parent
    if not os.path.isdir(parent):
        raise TaskError(f"{shown(path)} does not exist, nor does its folder. Expected {expected}. Correct the path.")
    near = nearest(path)
    hint = f"Did you mean {shown(near)}?" if near else "Correct the path."
    raise TaskError(f"{shown(path)} does not exist. Expected {expected}. {hint}")


def nearest(path: Path) -> Path | None:
    """The path in the same folder whose name is most similar to that of a missing file."""
    near = difflib.get_close_matches(path.name[:255], _names(path.parent), 1, 0.6)
    return path.parent / near[0] if near else None


def _names(folder: Path) -> list[str]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [entry.name for entry in islice(entries, _MAX_NAMES)]
    return []


def foreign(path: Path | None, head: bytes) -> tuple[str, str] | None:
    """The kind of a file that is no text, by its first bytes, and a cure; None for text.

    Args:
        path: the file, to read the names in a zip; None for standard input.
        head: its first bytes.
    """
    for magic, kind, cure in _MAGIC:
        if head.startswith(magic):
            return kind, cure
    if head.startswith(b"PK\x03\x04"):
        return _zipped(path)
    if head.lstrip().lower().startswith(_MARKUP):
        return "a web page or XML", _WEB
    return None


def _zipped(path: Path | None) -> tuple[str, str]:
    names: set[str] = set()
    if path is not None:
        # A damaged archive raises many kinds of errors.
        with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    for name, kind, cure in _ZIPPED:
        if name in names:
            return kind, cure
    return ARCHIVE


def refuse_foreign(path: Path, head: bytes, name: str) -> None:
    """Raise a TaskError if the content of a file is no text, with its kind and a cure."""
    kind, cure = foreign(path, head) or ("", "")
    if kind:
        raise TaskError(f"{name} seems to be {kind}, expected a table or texts in plain text. {cure}")
