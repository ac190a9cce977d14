"""Errors that a user can correct. Each message names the failure, the value got, what was expected, and a cure."""

import re

_LONGEST = 1900  # characters of a message
_USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")


def printable(text: str) -> str:
    """Text for a terminal: control characters except line ends and tabs as escapes.

    Example:
        >>> printable("red\\x1b[31m")
        'red\\\\x1b[31m'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in text)


def redacted(text: str) -> str:
    """Text without the user names and passwords in its addresses.

    Example:
        >>> redacted("base_url=https://me:secret@host/v1")
        'base_url=https://…@host/v1'
    """
    return _USER_INFO.sub("…", text)


def sentence(message: str) -> str:
    """A message without passwords and control characters, below 2,000 characters."""
    plain = printable(redacted(message))
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST // 2]} [...] {plain[-_LONGEST // 2 :]}"


class FewshotError(Exception):
    """A problem that the user can correct; the command line prints its message without a traceback."""

    def __str__(self) -> str:
        """The message as `sentence` shows it."""
        return sentence(super().__str__())


class ConfigError(FewshotError, ValueError):
    """A setting, or a combination of settings, that cannot be run."""


class TaskError(FewshotError, ValueError):
    """Labelled texts, label names or class splits that cannot be used."""


class EncoderError(FewshotError, RuntimeError):
    """An encoder that cannot be loaded, or gives unusable features."""


class StorageError(FewshotError, OSError):
    """A file that could not be written; nothing half-written is left behind."""


def as_typed(value: object) -> str:
    """A value as it would be typed on the command line, for messages.

    Example:
        >>> [as_typed(value) for value in (None, True, "five", 5)]
        ['null', 'true', "'five'", '5']
    """
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


def to_type(value: object) -> str:
    """A value as a user types it: words without quotes, lists without spaces.

    Example:
        >>> [to_type(value) for value in ("auto", "a text", (1, 5), False)]
        ['auto', "'a text'", '[1,5]', 'false']
    """
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(to_type, value))}]"
    return value if isinstance(value, str) and re.fullmatch(r"[\w./-]*", value) else as_typed(value)
