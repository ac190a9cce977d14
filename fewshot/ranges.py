"""Ranges of settings: the test of a value, and a description of the expected values."""

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
    """The range with None, which users write as `none`."""
    test, description = limits
    return lambda value: value is None or test(value), f"{description} (or {none})"


def or_word(word: str, limits: Range) -> Range:
    """The range with a word."""
    test, description = limits
    return lambda value: value == word or test(value), f"{description}, or {word},"


def whole(low: int, high: int | None = None) -> Range:
    """The range of whole numbers from `low` to `high`; None: no limit."""
    description = f"a whole number of {low} or more" if high is None else f"a whole number from {low} to {high:,}"
    return lambda value: type(value) is int and low <= value <= (value if high is None else high), description


def up_to(high: float) -> Range:
    """The range of numbers above 0, up to `high`."""
    return lambda value: not isinstance(value, bool) and 0 < value <= high, f"a number above 0, up to {high:g}"


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
    """Refuse settings of a group with one ConfigError that names them all.

    Args:
        group: of the command line; empty for settings of no group.
        kind: the class of the settings; its defaults are the examples.
        values: name of a setting → its value.
        expected: name of each setting out of range → description of the range.
    """
    if not expected:
        return
    settings = {name: f"{group}.{name}" if group else name for name in expected}
    got = ", ".join(f"{setting}={to_type(values[name])}" for name, setting in settings.items())
    names_of: dict[str, list[str]] = {}
    for name, description in expected.items():
        names_of.setdefault(description, []).append(name)
    listed = "; ".join(f"{description} for {', '.join(names)}" for description, names in names_of.items())
    defaults = {setting: getattr(kind, name) for name, setting in settings.items() if hasattr(kind, name)}
    examples = " ".join(f"{setting}={to_type(default)}" for setting, default in defaults.items())
    cure = f"Write {examples}, for example." if examples else "Correct what is named."
    raise ConfigError(f"Got {got}. Expected {listed}. {cure}")


def outside(ranges: Mapping[str, Range], values: Mapping[str, Any]) -> dict[str, str]:
    """Name of each value out of its range, or of another type → description of the range."""

    def fits(test: Callable[[Any], bool], value: Any) -> bool:
        try:
            return test(value)
        except TypeError:
            return False

    return {name: description for name, (test, description) in ranges.items() if not fits(test, values[name])}


class RangedSettings:
    """Settings whose ranges are checked when they are made.

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
        """Name of each setting that cannot be used → the expected value."""
        return outside(self.RANGES, vars(self))
