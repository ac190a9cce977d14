"""The check that a page replaces nothing but an earlier page."""

import os
from pathlib import Path

from fewshot.errors import StorageError

MARK = '<meta name="generator" content="fewshot">'  # stands in frame.html


def check_replaceable(path: Path | str) -> None:
    """Raise a StorageError for a file that exists and is no page of this package."""
    path = Path(path)
    if path.is_dir():
        raise StorageError(f"{str(path)!r} is a folder. Expected a file for the page, such as {path / 'report.html'}.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        reason = "may not be written" if folder.is_dir() else "is no folder"
        raise StorageError(
            f"The page {str(path)!r} cannot be written: {str(folder)!r} {reason}. Choose another place with -o."
        )
    if path.exists() and MARK.encode() not in path.read_bytes()[:2000]:
        raise StorageError(
            f"{str(path)!r} is there already and is no page of fewshot's. Expected a new file, or a page to replace. "
            f"Give another name."
        )
