"""Ranges of settings, declared beside them: the test of each value, and the words for what is expected."""

from collections.abc import Callable
from typing import Any, ClassVar

from fewshot.errors import ConfigError

Range = tuple[Callable[[Any], bool], str]

POSITIVE: Range = (lambda value: value > 0, "positive numbers")
NOT_NEGATIVE: Range = (lambda value: value >= 0, "numbers of 0 or more")
SHARE: Range = (lambda value: 0 <= value <= 1, "a share between 0 and 1")
BELOW_ONE: Range = (lambda value: 0 <= value < 1, "a share from 0 to below 1")
DECAY: Range = (lambda value: 0 < value <= 1, "a factor above 0 and at most 1")
SHARES: Range = (
    lambda value: len(value) > 0 and all(0 < share <= 1 for share in value),
    "a list of shares such as [0.5,1]",
)


def or_null(limits: Range) -> Range:
    """The range with None in it."""
    test, words = limits
    return lambda value: value is None or test(value), f"{words} (or null)"


def one_of(*options: str) -> Range:
    """The range of some words."""
    return lambda value: value in options, f"one of {', '.join(options)}"


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
        wrong = self.out_of_range()
        if wrong:
            values = {name: getattr(self, name) for name in wrong}
            plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
            got = ", ".join(f"{self.GROUP}.{name}={value}" for name, value in plain.items())
            names = {words: [name for name in wrong if wrong[name] == words] for words in wrong.values()}
            expected = "; ".join(f"{words} for {', '.join(names[words])}" for words in names)
            raise ConfigError(f"Got {got}. Expected {expected}. Correct what is named.")

    def out_of_range(self) -> dict[str, str]:
        """Name of each setting that cannot be used → what is expected of it."""
        return {name: words for name, (test, words) in self.RANGES.items() if not test(getattr(self, name))}
