"""Parts of a chart in SVG. Sizes are in its own units; colours are CSS classes, which know light and dark mode."""

import html
import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

WIDTH = 480.0  # of most charts: their letters can be read on a phone
LETTER = 7.6  # mean width in a wide font
_LONGEST = 100  # characters of a text in a chart
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # Unicode categories that show nothing


@dataclass(frozen=True)
class Chart:
    """An SVG, and its numbers as a `Table` if they are in no other table of the page."""

    title: str
    svg: Markup
    table: Any = None


@dataclass(frozen=True)
class Axis:
    """A linear scale from the values `low` to `high` to the coordinates `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float) -> "Axis":
        """An axis that spans some values and ends at round numbers.

        Example:
            >>> Axis.around([0.63, 0.91], 0.0, 100.0).ticks()
            (0.6, 0.7, 0.8, 0.9, 1.0)
        """
        values = list(values)
        step = _step(min(values), max(values))
        low, high = (
            step * rounded(round(value / step, 6))
            for rounded, value in ((math.floor, min(values)), (math.ceil, max(values)))
        )
        if low == high:
            low, high = (low - step, high) if low > 0 else (low, high + step)
        return cls(low, high, start, end)

    def at(self, value: float) -> float:
        """The coordinate of a value."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def ticks(self) -> tuple[float, ...]:
        """Round numbers on it, about five."""
        step = _step(self.low, self.high)
        first, last = (math.ceil(round(self.low / step, 6)), math.floor(round(self.high / step, 6)))
        return tuple(round(step * number, 9) for number in range(first, last + 1))


def _step(low: float, high: float) -> float:
    """1, 2 or 5 times a power of ten, about a fifth of a range."""
    fifth = (high - low) / 5 or 0.02
    power = 10.0 ** math.floor(math.log10(fifth))
    return power * next(times for times in (1, 2, 5, 10) if times >= 0.999 * fifth / power)


def picture(
    name: str, title: str, description: str, size: tuple[float, float], parts: Iterable[str], table: Any = None
) -> Chart:
    """A chart of SVG elements.

    Args:
        name: part of the ids.
        title, description: for a screen reader.
        size: width and height.
        parts: elements.
        table: of its numbers.
    """
    width, height = size
    head = f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-labelledby="{name}-title {name}-said"'
    style = f'style="max-width:{1.25 * width:.0f}px;min-width:{0.7 * width:.0f}px"'
    inner = f'<title id="{name}-title">{escaped(title)}</title><desc id="{name}-said">{escaped(description)}</desc>'
    svg = Markup(f"<svg {head} {style}>{inner}{''.join(parts)}</svg>")  # noqa: S704  words are escaped, the rest is numbers
    return Chart(title, svg, table)


def text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> str:
    """A text element."""
    kind = f' class="{kind}"' if kind else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escaped(words)}</text>'


def path(kind: str, shape: str, tooltip: str = "") -> str:
    """A path."""
    return f'<path class="{kind}" d="{shape}">{_title(tooltip)}</path>'


def dot(kind: str, x: float, y: float, radius: float, tooltip: str = "") -> str:
    """A circle."""
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">{_title(tooltip)}</circle>'


def box(
    kind: str, corner: tuple[float, float], size: tuple[float, float], tooltip: str = "", opacity: float = 1
) -> str:
    """A rectangle."""
    (x, y), (width, height) = corner, size
    position = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill-opacity="{opacity:.2f}"'
    return f'<rect class="{kind}" {position}>{_title(tooltip)}</rect>'


def grid_x(axis: Axis, bottom: float, percent: bool = True) -> str:
    """A vertical line with its value for each tick."""
    return "".join(
        path("grid", f"M{axis.at(value):.1f} 4V{bottom:.1f}")
        + text(axis.at(value), bottom + 16, tick_label(value, percent))
        for value in axis.ticks()
    )


def grid_y(axis: Axis, left: float, right: float) -> str:
    """A horizontal line with its per cent for each tick."""
    return "".join(
        path("grid", f"M{left:.1f} {axis.at(value):.1f}H{right:.1f}")
        + text(left - 6, axis.at(value) + 4, tick_label(value, True), "end")
        for value in axis.ticks()
    )


def tick_label(value: float, percent: bool) -> str:
    """The label of a tick."""
    return f"{100 * value if percent else value:.4g}"


def number(count: float) -> str:
    """A count, which may be a mean."""
    count = round(count, 1)
    return f"{count:,.0f}" if count == int(count) else f"{count:.1f}"


def short(words: str, longest: int = _LONGEST) -> str:
    """The beginning of a text."""
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def visible(words: str) -> str:
    """Text in which nothing is hidden: control characters, direction marks and half surrogates are written out.

    Example:
        >>> visible("\\x1b[31mred")
        '␛[31mred'
    """
    return words if words.isprintable() else "".join(map(_visible, words))


def breakable(words: str) -> Markup:
    """Visible text for a document, which may go on in the next line after an underscore."""
    return Markup(escaped(words).replace("_", "_<wbr>"))  # noqa: S704  escaped


def escaped(words: str) -> str:
    """Visible text that is safe in a document."""
    return html.escape(visible(words))


def _title(tooltip: str) -> str:
    return f"<title>{escaped(tooltip)}</title>" if tooltip else ""


def _visible(character: str) -> str:
    if character in "\t\n\r\u200c\u200d" or unicodedata.category(character) not in _HIDDEN:  # joiners belong to words
        return character
    if ord(character) < 32:
        return chr(0x2400 + ord(character))
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
