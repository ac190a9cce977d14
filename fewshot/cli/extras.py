"""Packages that only some settings need."""

import importlib
from typing import Any

from fewshot.errors import ConfigError


def needed(package: str, extra: str, setting: str) -> Any:
    """Import a package that a setting needs.

    Args:
        package: its name, as it is imported.
        extra: the extra of this package that installs it.
        setting: the typed setting, for messages.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"{setting} needs {package.partition('.')[0]}, which is not installed ({error}). Install it with: "
            f"pip install 'fewshot-text[{extra}]'"
        ) from error
