"""Parts of a clause in another order: both sides of "and", "from A to B" ↔ "to B from A", a time before or behind."""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.reading import Sentence
from fewshot.augment.syntax.rule import Rule, body_rule, sentence_rule, term_rule
from fewshot.augment.syntax.subjects import is_noun_phrase
from fewshot.augment.syntax.verbs import base_of_participle, is_base, is_finite
from fewshot.augment.syntax.words import FUNCTION_WORDS, PREPOSITIONS, is_plural, one_of, vocabulary

_JOINED = re.compile(
    rf"(?P<before>(?:{one_of(PREPOSITIONS - {'of'})}|the|my|your|any) )(?P<first>[A-Za-z]{{3,}}) (?P<joint>and|or)"
    r" (?P<second>[A-Za-z]{3,})(?P<after>$|,| (?:in|on|for|at|with|to|from)\b)"
)
# Pairs in a fixed order, and words that stand for more than themselves.
_FIXED = vocabulary(
    """back forth less more terms conditions later sooner over there here then something anything else so"""
)
_PLACE = r"(?!(?:\w+ )*\d)(?:(?:my|the) )?[A-Za-z]+(?: [A-Za-z]+){0,2}?"
_ROUTE = re.compile(
    rf"(?P<before>.*\S) from (?P<start>{_PLACE}) to (?P<end>{_PLACE})"
    r"(?P<after>(?: (?:on|for|with|through|by|using|via|next|tomorrow|today|in|please)\b.*)?)$"
)
_WHEN = re.compile(
    r"\b(?:\w+day|january|february|march|april|may|june|july|august|september|october|november|december|noon|midnight|now"
    r"|morning|evening|night|today|tomorrow|am|pm|start|beginning|end|time|one|two|three|four|five|six|ten|day|first|second|third|\w+th)\b",
    re.IGNORECASE,
)
_CHANGES = re.compile(r"\b(?:switch|change|go|convert|swap|rename)\b")
_TIME = (
    r"today|yesterday|tomorrow|tonight|this (?:morning|afternoon|evening|week|month|year)|recently|currently|right now"
    r"|(?:last|next) (?:week|month|year|night|weekend|[a-zA-Z]+day)|a (?:couple|few)(?: of)? (?:hours|days|weeks) ago"
    r"|(?:a|an|one|two|three|\d+) (?:minute|hour|day|week|month|year)s? ago|earlier today|yesterday (?:morning|evening)"
)
_TIME_BEHIND = re.compile(rf"(?P<clause>.+?),? (?P<time>{_TIME})$")
_TIME_BEFORE = re.compile(rf"(?P<time>{_TIME}),? (?P<clause>(?:I|we|my|the|someone)\b.+)$")
# With a second clause it is not certain which of the two a time belongs to.
_JOINTS = re.compile(
    r"\b(?:and|but|because|if|when|that|so|who|which|until|since|or|before|after|than)\b|[,;:]|.\b(?:I|we|they|you)\b"
)
_THERE = re.compile(
    r"there (?P<be>is|are|was|were|'s) (?P<thing>(?:a|an|some|no|extra|money|another) ?[\w -]*?)"
    r" (?P<place>(?:in|on) (?:my|the) [\w-]+(?: [\w-]+)?)$"
)


def _swap_names(term: str) -> Iterator[str]:
    """Both sides of "and" in a name, where it is clear how far each side reaches."""
    sides = re.split(r" (and|or) ", term)
    if len(sides) != 3 or not re.match(r"[A-Za-z' -]+$", term):
        return
    first, joint, second = sides[0].split(), sides[1], sides[2].split()
    if {word.lower() for word in first + second} & FUNCTION_WORDS:
        return
    alike = is_plural(first[-1]) == is_plural(second[-1])
    if len(first) == len(second) == 1:
        new = [*second, joint, *first]
    elif len(first) == 1 and len(second) == 2 and not is_plural(first[0]):
        new = [second[0], joint, first[0], second[1]]
    elif len(first) == 1 and alike and is_plural(first[0]):
        new = [*second, joint, *first]
    elif len(second) == 1 and len(first) == 2 and alike:
        new = [first[0], second[0], joint, first[1]]
    else:
        return
    yield " ".join(new)


def _swap_joined(body: str) -> Iterator[str]:
    for found in _JOINED.finditer(body):
        pair = (found["first"], found["second"])
        if not set(pair) & (FUNCTION_WORDS | _FIXED) and not any(map(_can_be_verb, pair)):
            swapped = f"{found['before']}{pair[1]} {found['joint']} {pair[0]}{found['after']}"
            yield body[: found.start()] + swapped + body[found.end() :]


def _can_be_verb(word: str) -> bool:
    return is_base(word) or is_finite(word) or base_of_participle(word) is not None or word.endswith(("ed", "ing"))


def _route(body: str) -> Iterator[str]:
    found = _ROUTE.match(body)
    if found is None or _WHEN.search(f"{found['start']} {found['end']}") or " from " in found["before"]:
        return
    if not _CHANGES.search(found["before"].split(" to ")[-1]) and not is_base(found["end"].split()[0]):
        yield f"{found['before']} to {found['end']} from {found['start']}{found['after']}"


def _time(sentence: Sentence) -> Iterator[Sentence]:
    if sentence.is_question:
        return
    found = _TIME_BEHIND.match(sentence.body) if sentence.is_statement else None
    if found is not None and not _JOINTS.search(found["clause"]) and found["clause"].split()[-1] not in PREPOSITIONS:
        yield sentence.say(f"{found['time']} {found['clause']}")
        yield sentence.say(f"{found['time']}, {found['clause']}")
    found = _TIME_BEFORE.match(sentence.body)
    if found is not None and not _JOINTS.search(found["clause"]):
        yield sentence.say(f"{found['clause']} {found['time']}")


def _there(sentence: Sentence) -> Iterator[Sentence]:
    found = _THERE.match(sentence.body)
    if found is None or sentence.is_question or _JOINTS.search(found["thing"]):
        return
    be = "is" if found["be"] == "'s" else found["be"]
    yield sentence.say(f"{found['place']} there {be} {found['thing']}")
    if is_noun_phrase(found["thing"]):
        yield sentence.say(f"{found['thing']} {be} {found['place']}")


ORDER: tuple[Rule, ...] = (
    term_rule("and_order_of_names", _swap_names),
    body_rule("and_order", _swap_joined),
    body_rule("route", _route),
    sentence_rule("time", _time),
    sentence_rule("there", _there),
)
