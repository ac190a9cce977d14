"""A text taken apart into sentences, and put together again in the style in which it was written.

Rules see the words only. Capitals, end marks, a lower-case "i", a greeting before and a "please" behind are kept here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from fewshot.augment.syntax.verbs import base_of_participle, is_base, is_finite
from fewshot.augment.syntax.words import (
    AUXILIARIES,
    BE,
    DETERMINERS,
    FRONTERS,
    FUNCTION_WORDS,
    MODALS,
    WH_WORDS,
    vocabulary,
)

_BREAK = re.compile(r"(?<=[.!?])\s+(?=[\w$\"'(])")
_ABBREVIATION = re.compile(r"(?:\b[A-Za-z]|\b(?:mr|mrs|ms|dr|st|vs|etc|approx|no|e\.g|i\.e))\.$", re.IGNORECASE)
_SECOND_CLAUSE = re.compile(
    r" ?, (?=(?:(?:can|could|would|will|do|does|did|is|are|should) (?:I|you|we|it|there|this|my|the)\b"
    r"|please\b|(?:let|tell|show|book|give) (?:me|my|the)\b|how\b|what\b|what's\b|why\b|where\b))",
    re.IGNORECASE,
)
_RUN_ON = re.compile(
    r" (?=(?:how(?: long| much| many| soon)?|what|why|when|where) "
    r"(?:do|does|did|is|are|was|were|can|could|will|would|should) (?:I|you|we|it|this|my|the|they)\b)"
)
_BEFORE_QUESTION = re.compile(
    r"\b(?:know|me|ask|wonder|wondering|understand|out|see|and|or|but|so|check|explain|about|sure|idea|is)$"
)
_HEAD = re.compile(
    r"(?:(?:hi|hello|hey)(?: there)?[,!]? |(?:good (?:morning|afternoon|evening|day)|please help(?: me)?|help(?: me)?"
    r"|excuse me|sorry|okay|ok|so|well|also|yes|no|thanks|thank you)[,!:] )",
    re.IGNORECASE,
)
_TAIL = re.compile(r",? (?:please|pls|thanks|thank you|thx)$", re.IGNORECASE)
_MARK = re.compile(r"[\s.!?]*$")
_SMALL_I = re.compile(r"\bi(?=$|[\s,.!?;:]|'(?:m|d|ll|ve)\b)")
_BIG_I = re.compile(r"\bI(?=$|[\s,.!?;:]|'(?:m|d|ll|ve)\b)")
_INTERJECTIONS = vocabulary(
    """hi hello hey bye goodbye buhbye thanks yes no yeah nope ok okay sure agreed regards help please later
    sorry good morning night evening afternoon day great cool nice wow true false right correct maybe
    farewell"""
)


_NO_NAME = vocabulary("I cant dont didnt im uh-huh mm-hmm")
# What begins with these words is a farewell, or speaks of oneself.
_NO_ORDER = vocabulary("be have help know mean need see talk thank want wait wish wonder work pass pin price")

Kind = Literal["sentences", "term", "carried"]


@dataclass(frozen=True)
class Sentence:
    """One sentence, or one of two clauses with a comma between.

    Args:
        body: its words; the first one without the capital of a sentence; the pronoun is always "I".
        mark: what ends it: "", ",", ".", "?", "!" or several of these.
        head: greeting or the like before it, with its comma.
        tail: "please" or the like behind it, with what separates it.
    """

    body: str
    mark: str = ""
    head: str = ""
    tail: str = ""

    def say(self, body: str, asks: bool | None = None) -> "Sentence":
        """The same sentence in other words; `asks` says whether it is a question now (None: as before)."""
        mark = self.mark
        if asks is not None and mark and mark != ",":
            mark = "?" if asks else "." if "?" in mark else mark
        elif asks and mark == ",":
            mark = "?"
        return Sentence(body, mark, self.head, self.tail)

    @cached_property
    def words(self) -> list[str]:
        """The body, cut at spaces."""
        return self.body.split()

    @cached_property
    def is_question(self) -> bool:
        """Whether it asks, by its mark or its first words."""
        if "?" in self.mark:
            return True
        first, second = (*self.words, "", "")[:2]
        if first.split("'")[0] in WH_WORDS or first == "whats":
            return True
        opens = BE | MODALS | {"does", "did"}
        return first in AUXILIARIES and second in (FRONTERS if first in opens else FRONTERS - DETERMINERS)

    @cached_property
    def is_request(self) -> bool:
        """Whether it begins with a verb that tells somebody to do something."""
        first, second = (*self.words, "", "")[:2]
        if self.is_question or not is_base(first) or first in _NO_ORDER or not second:
            return False
        return second not in AUXILIARIES and not is_finite(second) and not AUXILIARIES & set(self.words[2:4])

    @cached_property
    def is_statement(self) -> bool:
        """Whether it has a subject and then a verb."""
        if self.is_question or self.is_request or len(self.words) < 3:
            return False
        verbs = (word for word in self.words[1:] if word in AUXILIARIES or is_finite(word) or is_base(word))
        return (self.words[0] in FRONTERS or self.words[0].startswith("I'")) and (
            next(verbs, None) is not None or self.words[0].startswith("I'")
        )


@dataclass(frozen=True)
class Text:
    """The sentences of a text and the style that they are written in.

    Args:
        sentences: in their order.
        capitals: whether sentences begin with a capital.
        small_i: whether the pronoun is written "i".
        kind: `"term"` where the text is a name of something, such as "Femur fracture"; `"carried"` for a term inside
            a carrier phrase.
    """

    sentences: tuple[Sentence, ...]
    capitals: bool = True
    small_i: bool = False
    kind: Kind = "sentences"

    def with_sentence(self, index: int, sentence: Sentence) -> "Text":
        """The text with one sentence in place of another."""
        sentences = (*self.sentences[:index], sentence, *self.sentences[index + 1 :])
        return Text(sentences, self.capitals, self.small_i, self.kind)


def read(text: str) -> Text:
    """Take a text apart.

    Example:
        >>> read("Hi, i lost my card. Can you help?").sentences[0]
        Sentence(body='I lost my card', mark='.', head='hi, ', tail='')
    """
    text = " ".join(text.replace("’", "'").split())
    capitals = not text[:1].islower()
    small_i = _SMALL_I.search(text) is not None or text == text.lower()
    if small_i:
        text = _SMALL_I.sub("I", text)
    sentences = tuple(_sentences(text))
    return Text(sentences, capitals, small_i, "term" if _is_term(sentences) else "sentences")


def write(text: Text) -> str:
    """Put a text together.

    Example:
        >>> write(read("hi, i lost   my card. can you help"))
        'hi, i lost my card. can you help'
    """
    parts = []
    starts = True
    for sentence in text.sentences:
        part = f"{sentence.head}{sentence.body}{sentence.tail}{sentence.mark}"
        parts.append(part[:1].upper() + part[1:] if starts and text.capitals else part)
        starts = not sentence.mark.endswith(",")
    whole = " ".join(parts)
    return _BIG_I.sub("i", whole) if text.small_i else whole


def without_capital(text: str) -> str:
    """The text as it stands inside a sentence: names, "I" and words with digits keep their capital.

    Example:
        >>> [without_capital(text) for text in ("My card", "I paid", "ATM fee", "Apple Pay fails", "Deep Brain")]
        ['my card', 'I paid', 'ATM fee', 'Apple Pay fails', 'Deep Brain']
    """
    first, _, rest = text.partition(" ")
    if first == "I" or first.startswith("I'") or (not first[1:].islower() and len(first) > 1 and "'" not in first):
        return text
    second = rest.partition(" ")[0]
    content = [word for word in rest.split() if word.lower() not in FUNCTION_WORDS and not word.startswith("I")]
    is_name = second in content and second[:1].isupper() and not second.isupper()
    is_name = is_name or (content != [] and all(word[:1].isupper() for word in content))
    return text if is_name and first.lower() not in FUNCTION_WORDS else text[:1].lower() + text[1:]


def _sentences(text: str) -> Iterator[Sentence]:
    parts = _BREAK.split(text)
    waiting = ""
    for part in parts:
        waiting = f"{waiting} {part}" if waiting else part
        if _ABBREVIATION.search(waiting) and part is not parts[-1]:
            continue
        yield from _clauses(waiting)
        waiting = ""


def _clauses(text: str) -> Iterator[Sentence]:
    text = without_capital(text)
    head = _HEAD.match(text)
    rest = text[head.end() :] if head else text
    mark_at = _MARK.search(rest)
    assert mark_at is not None
    mark = mark_at.group().strip()
    body = without_capital(rest[: mark_at.start()])
    tail = _TAIL.search(body)
    body = body[: tail.start()] if tail else body
    end = Sentence(body, mark, head.group() if head else "", tail.group() if tail else "")
    cut = _SECOND_CLAUSE.search(body) or _run_on(body)
    if cut is None or len(body[: cut.start()].split()) < 3:
        yield end
    else:
        yield Sentence(body[: cut.start()], ",", end.head)
        yield Sentence(without_capital(body[cut.end() :]), mark, "", end.tail)


def _run_on(body: str) -> re.Match[str] | None:
    cut = _RUN_ON.search(body)
    return None if cut is None or _BEFORE_QUESTION.search(body[: cut.start()]) else cut


def _is_term(sentences: tuple[Sentence, ...]) -> bool:
    if len(sentences) != 1:
        return False
    (sentence,) = sentences
    plain = not sentence.head and not sentence.tail and not sentence.mark.strip(".")
    return plain and 0 < len(sentence.words) <= 8 and _is_name(sentence.words)


def _is_order(word: str) -> bool:
    return is_base(word) and word not in ("bank", "cash", "credit", "debit", "exchange")  # "credit limit"


def _is_name(words: list[str]) -> bool:
    joining = {"of", "the", "and", "or", "in", "with", "without", "for", "by", "to", "due", "from", "on", "as", "at"}
    lowered = [word.lower().strip(",()") for word in words]
    if lowered[0] in _INTERJECTIONS or any(word in FUNCTION_WORDS - joining for word in lowered):
        return False
    if "'" in words[0] and lowered[0].split("'")[0] in WH_WORDS | FUNCTION_WORDS:
        return False
    if len(words) > 1 and words[0].islower() and (_is_order(words[0]) or words[0] in AUXILIARIES):
        return False
    if words[0].startswith("I'") or _NO_NAME & {*words, *lowered}:
        return False
    return not (len(words) > 1 and base_of_participle(lowered[-1]) and words[-1].islower())
