"""Files and folders that are either whole or absent: written under a temporary name, flushed, then renamed."""

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from fewshot.errors import StorageError

ADVICE = "Free some space or choose another folder."


def file_name(text: str) -> str:
    """A name for a file or folder from what a user calls something: no separator, no dots at its ends, 80 characters.

    Example:
        >>> file_name("mails_2025"), file_name("../../etc/passwd")
        ('mails_2025', 'etc-passwd-3754d6cb')
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-")[:80].rstrip(".-")
    if plain and plain == text:
        return plain
    return f"{plain}-{sha256(text.encode()).hexdigest()[:8]}".lstrip("-")


@contextmanager
def atomic(path: Path | str, advice: str = ADVICE) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends without an error; its folder is made.

    `advice` is the last sentence of the error message, here and below.

    Raises:
        StorageError: the folder or the file cannot be written; `path` is as it was before.
    """
    path = Path(path)
    with _writing(path, advice), contextlib.ExitStack() as cleaning:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        cleaning.callback(_remove, Path(name))
        yield Path(name)
        _flush_file(Path(name))
        os.replace(name, path)


@contextmanager
def atomic_folder(path: Path | str, advice: str = ADVICE) -> Iterator[Path]:
    """A temporary folder beside `path` that takes its name, with all files flushed, when the block ends well.

    Raises:
        StorageError: the folder or a file in it cannot be written, or `path` is there already.
    """
    path = Path(path)
    with _writing(path, advice), contextlib.ExitStack() as cleaning:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        cleaning.callback(shutil.rmtree, temporary, ignore_errors=True)
        yield temporary
        for written in sorted(temporary.iterdir()):
            _flush_file(written)
        os.chmod(temporary, 0o777 & ~_umask())
        _flush_folder(temporary)
        os.rename(temporary, path)  # fails if `path` holds files
        _flush_folder(path.parent)


@contextmanager
def replaced_folder(path: Path | str, marker: str, advice: str = ADVICE) -> Iterator[Path]:
    """A temporary folder that takes the place of `path` when the block ends well; until then the old one stays whole.

    Args:
        path: absent, empty, or a folder with the file `marker`, which says that it was written so before.
        marker: name of a file.
        advice: as in `atomic`.

    Raises:
        StorageError: the folder cannot be written, or `path` is something else.
    """
    path = Path(path)
    if path.exists() and not (path / marker).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise StorageError(
            f"{str(path)!r} is there already and holds something else (no {marker}). Expected a new folder, or one to "
            f"write anew. Choose another folder."
        )
    with _writing(path, advice), contextlib.ExitStack() as cleaning:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        cleaning.callback(shutil.rmtree, temporary, ignore_errors=True)
        new, old = temporary / "new", temporary / "old"
        new.mkdir()
        yield new
        if path.exists():
            os.rename(path, old)
        try:
            os.rename(new, path)
        except BaseException:
            if old.exists():
                os.rename(old, path)
            raise
        _flush_folder(path.parent)


def write_text(path: Path | str, text: str, advice: str = ADVICE) -> None:
    """Write UTF-8 text, whole or not at all; StorageError as in `atomic`."""
    with atomic(path, advice) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any, advice: str = ADVICE) -> None:
    """Write JSON, keys in the order given; StorageError as in `atomic`, ValueError for a NaN or an infinity."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", advice)


def write_tensors(
    path: Path | str, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None, advice: str = ADVICE
) -> None:
    """Write a safetensors file, whole or not at all; StorageError as in `atomic`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path, advice) as temporary:
        try:
            save_file(plain, str(temporary), metadata=dict(metadata or {}))
        except SafetensorError as error:  # safetensors wraps the operating system's error
            raise OSError(None, str(error)) from error


@contextmanager
def _writing(path: Path, advice: str) -> Iterator[None]:
    """Make the folder of `path`, and name what could not be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"Could not write {str(path)!r}: {error.strerror or error}. {advice}") from error


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()


def _flush_file(file: Path) -> None:
    with open(file, "rb+") as written:
        os.fsync(written.fileno())
    os.chmod(file, 0o666 & ~_umask())


def _flush_folder(folder: Path) -> None:
    """Put the names in a folder on disk; Windows cannot open one, and does without."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
