"""Lexicons: terms, what else they are called, and where they stand in a text."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fewshot.augment.word_forms import in_style_of, plural, singulars, with_article
from fewshot.errors import ConfigError

Words = tuple[str, ...]

EMBEDDED = ("disease_ontology", "everyday")
_FOLDER = Path(__file__).resolve().parent / "lexicons"
# Apostrophes and hyphens hold a word together: "can" is not in "can't", nor "card" in "e-card".
_TOKEN = re.compile(r"\w+(?:['’‐-]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class Term:
    """A term in the capitals that it has by itself, and what else it is called."""

    written: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """The characters from `start` to before `end` of a text, and what may stand there instead, best first."""

    start: int
    end: int
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """Terms: `find` gives that of case-folded words, `lengths` how many words to try from a first one on."""

    name: str
    find: Callable[[Words], Term | None]
    lengths: Callable[[str], Sequence[int]]

    @classmethod
    def from_groups(cls, name: str, groups: Iterable[Sequence[str]]) -> "Lexicon":
        """A lexicon in which each member of a group is a synonym of the others; a term may stand in several groups.

        Raises:
            ConfigError: a term without words.
        """
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
                rest = (other for other_key, other in zip(keys, group, strict=True) if other_key != key)
                others.setdefault(key, {}).update(dict.fromkeys(rest))
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
        for place, fields in _lines(Path(path)):
            members = [field.strip() for field in [*fields[:1], *"|".join(fields[1:]).split("|")]]
            if len(fields) != 2 or not all(re.search(r"\w", member) for member in members):
                raise ConfigError(
                    f"{place} has {fields}, expected a term and a synonym. Separate them by a tab (.tsv) or a comma "
                    f"(.csv), and several synonyms by '|'."
                )
            group = groups.setdefault(members[0].casefold(), {})
            for member in members:
                group.setdefault(member.casefold(), member)
        if not groups:
            raise ConfigError(f"The lexicon {path} is empty, expected a term and a synonym a line. Add some.")
        return cls.from_groups(Path(path).stem, [list(members.values()) for members in groups.values()])

    def synonyms(self, term: str) -> tuple[str, ...]:
        """Synonyms of a text that is a term as a whole, but for punctuation around it; none if it is not."""
        for place in self.places(term):
            if not any(character.isalnum() for character in term[: place.start] + term[place.end :]):
                return place.synonyms
        return ()

    def places(self, text: str) -> list[Place]:
        """Where terms stand in a text: whole words in any capitals, from left to right, the longest that fits.

        A plural is found by its singular. A term written in capitals is an abbreviation, and found in capitals only:
        "AIDS" is not what aids do.
        """
        tokens = list(_TOKEN.finditer(text))
        words = tuple(_folded(token[0]) for token in tokens)
        found, index = [], 0
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
                    found.append(Place(start, end, other))
                    n_words = length
                    break
            index += n_words
        return found

    def _term(self, words: Words, place: str) -> tuple[str, Sequence[str]]:
        """How a term is written by itself, and its synonyms, in the number of its place; none if there is none."""
        term = self.find(words)
        if term is not None:
            return term.written, term.synonyms if place.isupper() or not term.written.isupper() else ()
        for singular in singulars(words[-1]):
            term = self.find((*words[:-1], singular))
            if term is not None and not term.written.isupper():
                # Several words for one may be a verb and its particle, whose plural is nonsense: "fill outs".
                forms = (plural(other) for other in term.synonyms if " " not in other or len(words) > 1)
                return plural(term.written) or term.written, [form for form in forms if form is not None]
        return "", ()


def substituted(text: str, chosen: Iterable[tuple[Place, str]]) -> str:
    """A text with other words in some places that do not overlap; "a" and "an" before them are set right."""
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
        raise ConfigError(
            f"Got the lexicon {str(path)!r}, expected a file with a term and a synonym a line, separated by tabs "
            f"(.tsv) or commas (.csv). Rename it, or convert it."
        )
    try:
        content = io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")
        # Only .csv, which needs them for commas, has quotes: inches are common in terms.
        is_tsv = path.suffix == ".tsv"
        reader = csv.reader(content, delimiter="\t", quoting=csv.QUOTE_NONE) if is_tsv else csv.reader(content)
        for fields in reader:
            is_header = reader.line_num == 1 and "|".join(fields).casefold() in ("term|synonym", "term|synonyms")
            if any(fields) and not is_header:
                yield f"{path}, line {reader.line_num}", fields
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"Could not read the lexicon {str(path)!r}: {getattr(error, 'strerror', None) or error}. Expected a file "
            f"in UTF-8 with a term and a synonym a line. Correct its path, or convert it."
        ) from error
