"""Characters that no author means: control characters, HTML, broken encodings, other normal forms."""

import html
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

from fewshot.errors import ConfigError

# Tab, line ends, and the joiners U+200C and U+200D of emoji and Persian are kept.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_BREAK = re.compile("[\x0b\x0c\x85\u2028\u2029]")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_TAGS = (
    "a abbr b big blockquote body br button center code dd div dl dt em font footer form h1 h2 h3 h4 h5 h6 head header "
    "hr html i iframe img input label li link meta nav o:p ol option p pre s script section select small span strike "
    "strong style sub sup table tbody td textarea th thead title tr tt u ul video"
)
_TAG = re.compile(rf"</?(?:{'|'.join(_TAGS.split())})(?:\s[^<>]*)?/?>|<!--|<!doctype", re.IGNORECASE)
# Only texts with such letters are given to ftfy: those of Latin-1 and Windows-1252 beyond ASCII.
_SUSPICIOUS = re.compile("[\x80-\xff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u2122]")
FTFY_NOTE = (
    "Letters of a wrong encoding were not checked: that needs ftfy. Install it with: pip install 'fewshot-text[check]'"
)


class Repair(NamedTuple):
    """A safe repair: the name of its finding, a description of the trouble, and the function."""

    name: str
    trouble: str
    repair: Callable[[str], str]


def has_tags(text: str) -> bool:
    """True if a text has tags of HTML.

    Example:
        >>> [has_tags(text) for text in ("<b>Hello</b>", "my <EMAIL> is 3 < 4 > 2", "a<br/>b")]
        [True, False, True]
    """
    return "<" in text and _TAG.search(text) is not None


def without_entities(text: str) -> str:
    """The text with entities of HTML as the characters that they stand for.

    Example:
        >>> without_entities("fish &amp; chips, 5 &lt; 6, &nosuch; AT&T")
        'fish & chips, 5 < 6, &nosuch; AT&T'
    """
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text) if "&" in text else text


def without_control(text: str) -> str:
    """The text without control characters and marks of no width; rare line breaks become spaces.

    Example:
        >>> without_control("my\\x00 card\\u200b is\\u2028lost")
        'my card is lost'
    """
    return _CONTROL.sub("", _BREAK.sub(" ", text))


def in_normal_form(text: str) -> str:
    """The text in Unicode's form NFC, in which a letter and its accent are one character."""
    return unicodedata.normalize("NFC", text)


def without_mojibake(text: str) -> str:
    """The text with letters of a wrong encoding repaired by ftfy.

    Raises:
        ConfigError: ftfy is not installed.

    Example:
        >>> without_mojibake("SchÃ¶n, thatâ€™s cafÃ©")
        'Schön, that’s café'
    """
    return _ftfy().fix_encoding(text) if _SUSPICIOUS.search(text) else text


def has_ftfy() -> bool:
    """True if ftfy is installed."""
    return find_spec("ftfy") is not None


def possible_repairs() -> tuple[Repair, ...]:
    """All safe repairs of a text, in their order; without ftfy all but that of wrong encodings."""
    return _REPAIRS if has_ftfy() else _REPAIRS[1:]


_REPAIRS = (
    Repair("wrong encoding", "letters that were read in a wrong encoding", without_mojibake),
    Repair("entities", "entities of HTML", without_entities),
    Repair("control characters", "control characters or marks of no width", without_control),
    Repair("normal form", "accents apart from their letters (Unicode's form NFC joins them)", in_normal_form),
)


@cache
def _ftfy() -> Any:
    try:
        import ftfy
    except ImportError as error:
        raise ConfigError(
            "Repairing letters of a wrong encoding needs ftfy. Install it with: pip install 'fewshot-text[check]'"
        ) from error
    return ftfy
