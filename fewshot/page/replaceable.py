"""What a page may replace: nothing but an earlier page."""

from pathlib import Path

from fewshot.errors import StorageError

MARK = '<meta name="generator" content="fewshot">'  # stands in frame.html


def check_replaceable(path: Path | str) -> None:
    """Refuse a file that is there already and is no page of this package, with a StorageError."""
    path = Path(path)
    if path.is_dir():
        raise StorageError(f"{str(path)!r} is a folder. Expected a file for the page, such as {path / 'report.html'}.")
    if path.exists() and MARK.encode() not in path.read_bytes()[:2000]:
        raise StorageError(
            f"{str(path)!r} is there already and is no page of fewshot's. Expected a new file, or a page to replace. "
            f"Give another name."
        )
