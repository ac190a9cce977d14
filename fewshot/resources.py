"""What the installation holds: the version and the shipped files, in the wheel under `fewshot/_shipped`."""

from importlib.metadata import version
from pathlib import Path

from fewshot.errors import ConfigError

__version__ = version("fewshot-text")

_PACKAGE = Path(__file__).resolve().parent


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
