"""Lexicons: terms and their synonyms, their places in a text, and the form of words there."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from fewshot.errors import ConfigError

Words = tuple[str, ...]

EMBEDDED = ("disease_ontology", "everyday")
_FOLDER = Path(__file__).resolve().parent / "lexicons"
# Apostrophes and hyphens hold a word together: "can" is not in "can't", nor "card" in "e-card".
_TOKEN = re.compile(r"\w+(?:['’‐-]\w+)*|[^\w\s]")
_LINKS = frozenset(["a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"])
_VOWEL_SOUND = re.compile(r"[aeio]|u(?!ni|se|sa|su|ti|ro)|hour|honest|honou?r|heir", re.IGNORECASE)
_CONSONANT_SOUND = re.compile(r"one\b|once\b|eu|ew", re.IGNORECASE)
_SPELLED_WITH_VOWEL = frozenset("AEFHILMNORSX")  # "an MRI": the name of the letter begins with a vowel
_LONGEST_SPELLED = 5  # letters; longer words in capitals are words
_SENTENCE_START = re.compile(r"(^|[.?!])[\s\"'(“‘]*$")
_ARTICLE = re.compile(r"\b(an?)(\s+)$", re.IGNORECASE)


class Term(NamedTuple):
    """A term, in its own capitals, and its synonyms."""

    written: str
    synonyms: tuple[str, ...]


class Place(NamedTuple):
    """The characters from `start` to before `end` of a text, and their synonyms, best first."""

    start: int
    end: int
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """Terms: `find` takes case-folded words, `lengths` gives the numbers of words of terms by their first word."""

    name: str
    find: Callable[[Words], Term | None]
    lengths: Callable[[str], Sequence[int]]

    @classmethod
    def from_groups(cls, name: str, groups: Iterable[Sequence[str]]) -> "Lexicon":
        """A lexicon in which each member of a group is a synonym of the others; a term may stand in several groups."""
        written: dict[Words, str] = {}
        others: dict[Words, dict[str, None]] = {}
        lengths: dict[str, set[int]] = {}
        for group in groups:
            keys = [tuple(_folded(token) for token in _TOKEN.findall(member)) for member in group]
            if () in keys:
                raise ConfigError(f"The lexicon {name!r} has an empty term in {list(group)}. Remove it.")
            for key, member in zip(keys, group, strict=True):
                written.setdefault(key, member)
                lengths.setdefault(key[0], set()).add(len(key))
                synonyms = (other for other_key, other in zip(keys, group, strict=True) if other_key != key)
                others.setdefault(key, {}).update(dict.fromkeys(synonyms))
        terms = {key: Term(written[key], tuple(others[key])) for key in written}
        return cls(name, terms.get, lambda first: sorted(lengths.get(first, ()), reverse=True))

    @classmethod
    def read(cls, path: Path | str) -> "Lexicon":
        """A lexicon from a file with the columns `term` and `synonym`, separated by tabs (.tsv) or commas (.csv).

        Lines with the same term make one group; `|` separates several synonyms in one line. A header may be absent.

        Raises:
            ConfigError: no such file, not UTF-8, or a line that is not a term and a synonym; names the line.
        """
        groups: dict[str, dict[str, str]] = {}
        for line, fields in _lines(Path(path)):
            members = [field.strip() for field in [*fields[:1], *"|".join(fields[1:]).split("|")]]
            if len(fields) != 2 or not all(re.search(r"\w", member) for member in members):
                cure = "Separate them by a tab (.tsv) or a comma (.csv), and several synonyms by '|'."
                raise ConfigError(f"{line} has {fields}, expected a term and a synonym. {cure}")
            group = groups.setdefault(members[0].casefold(), {})
            for member in members:
                group.setdefault(member.casefold(), member)
        if not groups:
            raise ConfigError(f"The lexicon {path} is empty, expected a term and a synonym a line. Add some.")
        return cls.from_groups(Path(path).stem, [list(members.values()) for members in groups.values()])

    def synonyms(self, term: str) -> tuple[str, ...]:
        """Synonyms of a text that is a single term, apart from punctuation around it; none if it is not."""
        around = ((place, term[: place.start] + term[place.end :]) for place in self.places(term))
        return next((place.synonyms for place, rest in around if not any(map(str.isalnum, rest))), ())

    def places(self, text: str) -> list[Place]:
        """The places of terms in a text: whole words in any capitals, from left to right, the longest that fits.

        A plural is found by its singular. A term written in capitals is an abbreviation, and found in capitals only:
        "aids" is not "AIDS".
        """
        tokens = list(_TOKEN.finditer(text))
        words = tuple(_folded(token[0]) for token in tokens)
        places, index = [], 0
        while index < len(words):
            n_words = 1
            for length in dict.fromkeys((*self.lengths(words[index]), 1)):  # 1: the first word may be a plural
                if index + length > len(words):
                    continue
                start, end = tokens[index].start(), tokens[index + length - 1].end()
                written, synonyms = self._term(words[index : index + length], text[start:end])
                styled = dict.fromkeys(in_style_of(text, start, end, written, synonym) for synonym in synonyms)
                other = tuple(synonym for synonym in styled if synonym.casefold() != text[start:end].casefold())
                if other:
                    places.append(Place(start, end, other))
                    n_words = length
                    break
            index += n_words
        return places

    def _term(self, words: Words, text: str) -> tuple[str, Sequence[str]]:
        """A term as the lexicon writes it, and its synonyms, singular or plural as the text; no synonyms if unknown."""
        if (term := self.find(words)) is not None:
            return term.written, term.synonyms if text.isupper() or not term.written.isupper() else ()
        for singular in singulars(words[-1]):
            if (term := self.find((*words[:-1], singular))) is not None and not term.written.isupper():
                # Several words for one may be a verb and its particle, whose plural is nonsense: "fill outs".
                forms = (plural(other) for other in term.synonyms if " " not in other or len(words) > 1)
                return plural(term.written) or term.written, [form for form in forms if form is not None]
        return "", ()


def substituted(text: str, chosen: Iterable[tuple[Place, str]]) -> str:
    """A text with other words in some places that do not overlap; "a" and "an" before them are corrected."""
    for place, words in sorted(chosen, key=lambda pair: pair[0].start, reverse=True):
        text = with_article(text[: place.start], text[place.start : place.end], words) + words + text[place.end :]
    return text


@cache
def load_lexicon(name: str) -> Lexicon:
    """A lexicon of the package (`disease_ontology`, names of diseases; `everyday`, of requests), or that of a file.

    Example:
        >>> load_lexicon("disease_ontology").synonyms("myocardial infarction")[0]
        'heart attack'
    """
    return Lexicon.read(_FOLDER / f"{name}.tsv" if name in EMBEDDED else name)


def _folded(word: str) -> str:
    return word.casefold().replace("’", "'").replace("‐", "-")


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and fields of each line of a lexicon's file."""
    if path.suffix not in (".tsv", ".csv"):
        expected = "a file with a term and a synonym a line, separated by tabs (.tsv) or commas (.csv)"
        raise ConfigError(f"Got the lexicon {str(path)!r}, expected {expected}. Rename it, or convert it.")
    try:
        content, is_tsv = io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), path.suffix == ".tsv"
        # Only .csv, which needs them for commas, has quotes: inches are common in terms.
        reader = csv.reader(content, delimiter="\t", quoting=csv.QUOTE_NONE) if is_tsv else csv.reader(content)
        for fields in reader:
            is_header = reader.line_num == 1 and "|".join(fields).casefold() in ("term|synonym", "term|synonyms")
            if any(fields) and not is_header:
                yield f"{path}, line {reader.line_num}", fields
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        what = f"Could not read the lexicon {str(path)!r}: {getattr(error, 'strerror', None) or error}."
        cure = "Expected a file in UTF-8 with a term and a synonym a line. Correct its path, or convert it."
        raise ConfigError(f"{what} {cure}") from error


def in_style_of(text: str, start: int, end: int, written: str, replacement: str) -> str:
    """A replacement of `text[start:end]` in its capitals; `written` is the replaced term in the lexicon's capitals."""
    replaced = text[start:end]
    if text.isupper() and (replaced != written or start > 0 or end < len(text)):
        return replacement.upper()
    if text.islower():
        return " ".join(word if _is_abbreviation(word) else word.lower() for word in replacement.split(" "))
    words = [word for word in replaced.split() if word not in _LINKS and word != "I"]
    if replaced != written and len(words) > 1 and all(word[0].isupper() for word in words):
        return " ".join(word if word in _LINKS else _capitalised(word) for word in replacement.split(" "))
    opens = replaced[0].isupper() and _SENTENCE_START.search(text[:start]) is not None
    named = replaced[0].isupper() and written[0].islower() and replaced[1:2].islower()
    return _capitalised(replacement) if opens or named else replacement


def in_case_of(old: str, new: str) -> str:
    """A word in the capitals of the word that it replaces: ALL CAPS, Capitalised, or unchanged."""
    return new.upper() if _is_abbreviation(old) else _capitalised(new) if old[0].isupper() else new


def singulars(word: str) -> list[str]:
    """The possible singulars (or base forms) of a case-folded word, the likeliest first."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return []
    y = [word[:-3] + "y"] if word.endswith("ies") and len(word) > 4 else []
    es = [word[:-2]] if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")) else []
    return [*y, word[:-1], *es]


def plural(term: str) -> str | None:
    """The term with the regular plural of its last word, or None if that would be a guess."""
    *before, last = term.split(" ")
    if not last.isalpha() or len(last) < 3 or last.endswith("s") or not last.islower() or _LINKS & set(before):
        return None
    if last.endswith(("x", "z", "ch", "sh")):
        return term + "es"
    return term[:-1] + "ies" if last[-1] == "y" and last[-2] not in "aeiou" else term + "s"


def with_article(before: str, old: str, new: str) -> str:
    """The text before a replacement, with "a" or "an" at its end corrected for the new words."""
    article = _ARTICLE.search(before)
    if article is None or _begins_with_vowel_sound(old) == _begins_with_vowel_sound(new):
        return before
    fitting = article[1][0] + ("n" if _begins_with_vowel_sound(new) else "")
    return before[: article.start()] + (fitting.upper() if article[1] == "AN" else fitting) + article[2]


def _begins_with_vowel_sound(words: str) -> bool:
    first = words.split(" ")[0]
    if _is_abbreviation(first) and len(first) <= _LONGEST_SPELLED:
        return first[0] in _SPELLED_WITH_VOWEL
    return _VOWEL_SOUND.match(first) is not None and _CONSONANT_SOUND.match(first) is None


def _is_abbreviation(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _capitalised(word: str) -> str:
    return word[0].upper() + word[1:]
