"""The installation: versions, the code, and the shipped files, in the wheel under `fewshot/_shipped`."""

import functools
import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fewshot.errors import ConfigError

__version__ = version("fewshot-text")

_PACKAGE = Path(__file__).resolve().parent
LIBRARIES = ("fewshot-text", "torch", "transformers", "sentence-transformers", "scikit-learn", "hydra-core", "numpy")


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that results depend on."""
    result = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            continue
    return result


@functools.cache
def installation() -> str:
    """SHA-256 in hex of the modules of this package and of the versions of the libraries."""
    digest = hashlib.sha256(repr(sorted(versions().items())).encode())
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def shipped(name: str) -> Path:
    """Folder of shipped files.

    Args:
        name: `"conf"`, `"episodes"`, `"samples"` or `"weights"`.

    Returns:
        An existing folder.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for candidate in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(
        f"The folder {name!r} that comes with fewshot-text is missing beside {_PACKAGE}. Install the package again."
    )


def bundled_task(name: str) -> Path:
    """The folder of a task that comes with the package, by its name alone; ConfigError if there is none."""
    folders = {path.name: path for path in sorted(shipped("episodes").iterdir()) if path.is_dir()}
    if name not in folders:
        raise ConfigError(
            f"Got {name!r}, expected the name of a task of the package: {', '.join(folders)}. Correct it."
        )
    return folders[name]
