"""Values, paths and columns in messages: short, whatever a file holds."""

import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_MAX_PATH = 200  # characters of a path in a message
_MAX_COLUMNS = 12

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxlong = _repr.maxother = 80


def short(value: Any) -> str:
    """`repr` of a value in 80 characters at most, also of a deeply nested one.

    Example:
        >>> short("one"), len(short("one" * 100)), len(short(10**400))
        ("'one'", 80, 80)
    """
    return _repr.repr(value)


def shown(path: str | Path) -> str:
    """A path as it was given, or the end of a very long one."""
    text = str(path)
    return text if len(text) <= _MAX_PATH else f"…{text[-_MAX_PATH:]}"


def listed(columns: Iterable[Any]) -> str:
    """Names of columns, the first dozen of them.

    Example:
        >>> listed(["text", "label"]), listed([])
        ("'text', 'label'", 'none')
    """
    names = [short(column) for column in columns]
    suffix = f", … and {len(names) - _MAX_COLUMNS} more" if len(names) > _MAX_COLUMNS else ""
    return ", ".join(names[:_MAX_COLUMNS]) + suffix if names else "none"
