"""Write files and folders whole or not at all: under a temporary name, flushed, then renamed."""

import contextlib
import ctypes
import json
import math
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot.errors import ConfigError, StorageError, redacted

if TYPE_CHECKING:
    from torch import Tensor

SEAL = "blake2b"  # of the metadata of a safetensors file
_JSON_SEAL = "sha256"
_LEFTOVER_SECONDS = 600.0  # no writing takes so long
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux's renameat2
ADVICE = "Free some space or choose another folder."
# Errors of reading a file that is damaged, or of another program.
UNREADABLE = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError)


def user_path(path: Any, setting: str = "a path") -> Path:
    """A path given by a user, with `~` expanded; settings may read it as a number. ConfigError for anything else."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if type(text) not in (str, int, float):
        raise ConfigError(f"Got {path!r} as {setting}, expected text such as 'my_folder'. Correct it.")
    return Path(os.path.expanduser(str(text)))


def file_name(text: str) -> str:
    """A file name from a user's name for something: no separator, no dots at its ends, at most 80 characters.

    Example:
        >>> file_name("mails_2025"), file_name("../../etc/passwd")
        ('mails_2025', 'etc-passwd-3754d6cb')
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-")[:80].rstrip(".-")
    if plain and plain == text:
        return plain
    return f"{plain}-{sha256(text.encode()).hexdigest()[:8]}".lstrip("-")


@contextmanager
def atomic(path: Path | str, advice: str = ADVICE, private: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that is renamed to it when the block ends without an error; its folder is made.

    `advice` is the last sentence of the error message, here and below. Only its owner can read a `private` file.

    Raises:
        StorageError: the folder or the file cannot be written; `path` is unchanged.
    """
    path = Path(path)
    with _writing(path, advice), contextlib.ExitStack() as cleaning:
        temporary = _temporary(path)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
        cleaning.callback(_remove, temporary)
        mode = temporary.stat().st_mode
        yield temporary
        _flush_file(temporary, mode)
        os.replace(temporary, path)


@contextmanager
def atomic_folder(path: Path | str, advice: str = ADVICE) -> Iterator[Path]:
    """A temporary folder beside `path`; all files are flushed and it is renamed if the block ends without an error.

    Raises:
        StorageError: the folder or a file in it cannot be written, or `path` is there already.
    """
    path = Path(path)
    with _writing(path, advice), contextlib.ExitStack() as cleaning:
        temporary = _temporary(path)
        temporary.mkdir()
        cleaning.callback(shutil.rmtree, temporary, ignore_errors=True)
        yield temporary
        for written in sorted(temporary.iterdir()):
            _flush_file(written, temporary.stat().st_mode & 0o666)
        _flush_folder(temporary)
        os.rename(temporary, path)  # fails if `path` holds files
        _flush_folder(path.parent)


@contextmanager
def replaced_folder(path: Path | str, marker: str, own: Collection[str] = (), advice: str = ADVICE) -> Iterator[Path]:
    """A temporary folder that replaces `path` if the block ends without an error; until then the old one stays whole.

    On Linux the two are exchanged in one step. Elsewhere, a process that is killed at that very moment leaves the old
    folder as `old` in a hidden folder beside `path`.

    Args:
        path: absent, empty, or a folder with the file `marker`, which shows that it was written by this function.
        marker: name of a file.
        own: names of files that may be removed with the old folder, beside the marker.
        advice: as in `atomic`.

    Raises:
        StorageError: the folder cannot be written, or `path` is something else.
    """
    path = Path(path)
    check_folder(path, marker, own)
    with _writing(path, advice), contextlib.ExitStack() as cleaning:
        temporary = _temporary(path)
        temporary.mkdir()
        cleaning.callback(shutil.rmtree, temporary, ignore_errors=True)
        new, old = temporary / "new", temporary / "old"
        new.mkdir()
        yield new
        if not _exchanged(new, path):
            _exchange_by_hand(new, path, old)
        _flush_folder(path.parent)
    remove_leftovers(path.parent, path.name)


def check_folder(path: Path, marker: str, own: Collection[str] = ()) -> None:
    """Raise a StorageError for a path that `replaced_folder` would not replace."""
    if path.exists() and not (path / marker).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise StorageError(
            f"{str(path)!r} is there already and holds something else (no {marker}). Expected a new folder, or one to "
            f"write anew. Choose another folder."
        )
    names = [entry.name for entry in path.iterdir()] if path.is_dir() else []
    foreign = sorted(name for name in names if _written_name(name) not in {marker, *own})
    if foreign:
        raise StorageError(
            f"{str(path)!r} also holds {foreign[0]!r}, which would be lost. Expected a new folder, or one of "
            f"saved files alone. Move it away, or choose another folder."
        )


def write_text(path: Path | str, text: str, advice: str = ADVICE, private: bool = False) -> None:
    """Write UTF-8 text, whole or not at all; arguments and StorageError as in `atomic`."""
    with atomic(path, advice, private) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Any, advice: str = ADVICE, private: bool = False) -> None:
    """Write JSON with keys in the given order; StorageError as in `atomic`, ValueError for NaN or infinity."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # half of a surrogate pair becomes its escape
    write_text(path, text, advice, private)


def redact_files(folder: Path) -> None:
    """Remove user names and passwords from the addresses in the YAML files of a folder."""
    for path in folder.glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        if redacted(text) != text:
            write_text(path, redacted(text))


def write_sealed(path: Path | str, content: Mapping[str, Any], advice: str = ADVICE, private: bool = False) -> None:
    """Write a JSON object with its digest, which `read_sealed` checks; errors as in `write_json`."""
    write_json(path, {**content, _JSON_SEAL: _json_digest(content)}, advice, private)


def read_sealed(path: Path | str) -> dict[str, Any]:
    """Read a JSON object that `write_sealed` wrote.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no JSON object, or not as it was written.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    if content.pop(_JSON_SEAL, None) != _json_digest(content):
        raise ValueError(f"{path.name} is not as it was written, or an earlier version wrote it")
    return content


def write_tensors(
    path: Path | str, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None, advice: str = ADVICE
) -> None:
    """Write a safetensors file with a digest, whole or not at all; StorageError as in `atomic`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    sealed = {**(metadata or {}), SEAL: tensors_digest(plain, metadata or {})}
    with atomic(path, advice) as temporary:
        try:
            save_file(plain, str(temporary), metadata=sealed)
        except SafetensorError as error:  # safetensors wraps the operating system's error
            raise OSError(None, str(error)) from error


def read_tensors(path: Path | str, mapped: bool = False) -> "tuple[dict[str, Tensor], dict[str, str]]":
    """Tensors and metadata of a file that `write_tensors` wrote.

    Args:
        path: of the file.
        mapped: True if tensors stay in the file until they are used; the file must then not be overwritten.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not as it was written, or holds NaN or infinity.
    """
    from safetensors import SafetensorError, safe_open
    from torch import float64

    path = Path(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"reading {path.name} failed with {str(error).rstrip('.')!r}") from error
    if metadata.pop(SEAL, None) != tensors_digest(tensors, metadata):
        raise ValueError(f"{path.name} is not as it was written, or an earlier version wrote it")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not math.isfinite(float(tensor.sum(dtype=float64))):
            raise ValueError(f"{name} in {path.name} has NaN or infinity")
    return tensors if mapped else {name: tensor.clone() for name, tensor in tensors.items()}, metadata


def tensors_digest(tensors: "Mapping[str, Tensor]", metadata: Mapping[str, str]) -> str:
    """Digest of names, dtypes, shapes, bytes and metadata, 32 hex digits."""
    from torch import uint8

    total = blake2b(json.dumps(dict(metadata), sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.contiguous().reshape(-1).view(uint8).numpy().data)
    return total.hexdigest()


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove temporary files and folders that a killed process left in a folder; those of one name, if it is given."""
    start = "" if name is None else f".{name}."
    for leftover in (path for path in folder.glob(".*.tmp") if path.name.startswith(start)):
        with contextlib.suppress(OSError):  # another process has just finished or removed it
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _json_digest(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(dict(content), sort_keys=True).encode()).hexdigest()


@contextmanager
def _writing(path: Path, advice: str) -> Iterator[None]:
    """Make the folder of `path`, and raise StorageError for errors in the block."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"Could not write {str(path)!r}: {error.strerror or error}. {advice}") from error


def _temporary(path: Path) -> Path:
    """An unused path beside `path`."""
    return path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"


def _written_name(name: str) -> str:
    """The final name of a file, which may be a temporary one, `.NAME.abcdefgh.tmp`."""
    return name[1:].rsplit(".", 2)[0] if name.startswith(".") and name.endswith(".tmp") else name


def _exchanged(new: Path, path: Path) -> bool:
    """Exchange two folders in one step; False if one is absent, or the system or the disk cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return bool(rename(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(path), _RENAME_EXCHANGE) == 0)


def _exchange_by_hand(new: Path, path: Path, old: Path) -> None:
    if path.exists():
        os.rename(path, old)
    try:
        os.rename(new, path)
    except BaseException:
        if old.exists():
            os.rename(old, path)
        elif _exchanged(new, path):  # another process was first
            return
        raise


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()


def _flush_file(file: Path, mode: int) -> None:
    with open(file, "rb+") as written:
        os.fsync(written.fileno())
    os.chmod(file, stat.S_IMODE(mode))  # safetensors gives its files another one


def _flush_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, except on Windows, which cannot open a folder."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
