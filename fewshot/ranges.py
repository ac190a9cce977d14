"""Ranges of settings, declared beside them: the test of each value, and the words for what is expected."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from fewshot.errors import ConfigError, to_type

Range = tuple[Callable[[Any], bool], str]

_LARGEST = sys.float_info.max

POSITIVE: Range = (lambda value: not isinstance(value, bool) and 0 < value <= _LARGEST, "a positive number")
NOT_NEGATIVE: Range = (lambda value: 0 <= value <= _LARGEST, "a number of 0 or more")
SHARE: Range = (lambda value: not isinstance(value, bool) and 0 <= value <= 1, "a share between 0 and 1")
BELOW_ONE: Range = (lambda value: 0 <= value < 1, "a share from 0 to below 1")
DECAY: Range = (lambda value: 0 < value <= 1, "a factor above 0 and at most 1")
SHARES: Range = (
    lambda value: len(value) > 0 and all(0 < share <= 1 for share in value),
    "a list of shares such as [0.5,1]",
)
RISING: Range = (
    lambda value: (
        0 < len(value) == len(set(value))
        and list(value) == sorted(value)
        and all(type(number) is int and number >= 0 for number in value)
    ),
    "a list of whole numbers that rise, from 0, such as [0,5]",
)

BOOLEAN: Range = (lambda value: isinstance(value, bool), "true or false")


def or_null(limits: Range, none: str = "null") -> Range:
    """The range with None in it, which users write as `none`."""
    test, words = limits
    return lambda value: value is None or test(value), f"{words} (or {none})"


def or_word(word: str, limits: Range) -> Range:
    """The range with a word in it."""
    test, words = limits
    return lambda value: value == word or test(value), f"{words}, or {word},"


def whole(least: int, most: int | None = None) -> Range:
    """The range of whole numbers of `least` or more, `most` at most."""
    words = f"a whole number of {least} or more" if most is None else f"a whole number from {least} to {most:,}"
    return lambda value: type(value) is int and least <= value <= (value if most is None else most), words


def up_to(most: float) -> Range:
    """The range of numbers above 0, `most` at most."""
    return lambda value: not isinstance(value, bool) and 0 < value <= most, f"a number above 0, up to {most:g}"


def one_of(*options: str) -> Range:
    """The range of some words."""
    return lambda value: value in options, f"one of {', '.join(options)}"


def some_of(*options: str) -> Range:
    """The range of lists of some words."""
    return (
        lambda value: not isinstance(value, str) and set(value) <= set(options),
        f"a list of some of {', '.join(options)}",
    )


def check_ranges(group: str, kind: type, values: Mapping[str, Any], expected: Mapping[str, str]) -> None:
    """Refuse settings of a group with a ConfigError that names them all.

    Args:
        group: of the command line; empty for settings of no group.
        kind: the class that has them; its defaults are offered as examples.
        values: name of a setting → its value.
        expected: name of each setting that cannot be used → what is expected of it.
    """
    if not expected:
        return
    settings = {name: f"{group}.{name}" if group else name for name in expected}
    got = ", ".join(f"{setting}={to_type(values[name])}" for name, setting in settings.items())
    names = {words: [name for name in expected if expected[name] == words] for words in expected.values()}
    listed = "; ".join(f"{words} for {', '.join(names[words])}" for words in names)
    defaults = {setting: getattr(kind, name) for name, setting in settings.items() if hasattr(kind, name)}
    examples = " ".join(f"{setting}={to_type(default)}" for setting, default in defaults.items())
    cure = f"Write {examples}, for example." if examples else "Correct what is named."
    raise ConfigError(f"Got {got}. Expected {listed}. {cure}")


def outside(ranges: Mapping[str, Range], values: Mapping[str, Any]) -> dict[str, str]:
    """Name of each value that is out of its range, or of another kind → what is expected of it."""

    def fits(test: Callable[[Any], bool], value: Any) -> bool:
        try:
            return test(value)
        except TypeError:
            return False

    return {name: words for name, (test, words) in ranges.items() if not fits(test, values[name])}


class RangedSettings:
    """Settings that name all that is out of range when they are made.

    Attributes:
        GROUP: of the command line, for messages.
        RANGES: name of a setting → its range.
    """

    GROUP: ClassVar[str]
    RANGES: ClassVar[dict[str, Range]]

    def __post_init__(self) -> None:
        """Refuse settings that are out of range.

        Raises:
            ConfigError: names them all.
        """
        check_ranges(self.GROUP, type(self), vars(self), self.out_of_range())

    def out_of_range(self) -> dict[str, str]:
        """Name of each setting that cannot be used → what is expected of it."""
        return outside(self.RANGES, vars(self))
