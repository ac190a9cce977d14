"""Small words that can come, go or change without the matter: "have to" ↔ "need to", "that", "still … not yet"."""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.rule import Rule, body_rule, swaps
from fewshot.augment.syntax.verbs import base_of_participle, is_base

# Where a clause begins: "the shots I need to travel" are not what I have to travel.
_BEGINNING = (
    rf"(?:^|{'|'.join(f'(?<={word} )' for word in ('and', 'but', 'if', 'when', 'so', 'because', 'that', ','))})"
)
_OBLIGATION = (
    (r"(do|did|does) (I|we|you|it|my card|the card) have to (?=[a-z])", r"\1 \2 need to "),
    (r"(do|did) (I|we|you) need to (?=[a-z])", r"\1 \2 have to "),
    (rf"{_BEGINNING}(I|we|you|they) have to (?=[a-z])", r"\1 need to "),
    (rf"{_BEGINNING}(I|we|you|they) need to (?!know|have)(?=[a-z])", r"\1 have to "),
)
_ABILITY = (
    (r"(I|he|she|it) (?:was not|wasn't) able to (?=[a-z])", r"\1 could not "),
    (r"(I|he|she|it) (?:could not|couldn't) (?=(?!be\b)[a-z])", r"\1 was not able to "),
    (r"I (?:cannot|can't) (?=(?!be\b|seem\b|even\b)[a-z])", "I am not able to "),
    (r"(I am|I'm) not able to (?=[a-z])", "I cannot "),
)
_STILL_NOT = re.compile(
    r"(?P<who>^I|^we|^(?:my|the|our) [\w-]+(?: [\w-]+)?|, (?:but|and) (?:I|we|it))"
    r" (?P<aux>haven't|hasn't|have not|has not) (?P<rest>[\w-]+.*)$"
)
_CLAUSE = r"(?=(?:I|you|we|they|he|she|my|the|there|someone)\b(?! \w+ing\b))"
_THAT = (
    (rf"\b(think|thought|believe|noticed|notice|says|said|know|see|sure|heard|realized|shows) that {_CLAUSE}", r"\1 "),
    (rf"(?<!what )\b(think|believe|noticed|says|said|thought|realized) {_CLAUSE}", r"\1 that "),
    (r"\b((?:the|a|an|any|this|some) [\w-]+) that (?=(?:I|you|we|they) \w)", r"\1 "),
    (
        r"\b((?:the|a|an|any|some) [\w-]+[a-z]) (?=(?:I|we|they) "
        r"(?:have \w+(?:ed|en|t|de)|can|could|need|\w+ed|made|bought|got|sent|did|put|paid|sold|spent)\b)",
        r"\1 that ",
    ),
)
_THAT_PATTERNS = tuple((re.compile(pattern), new) for pattern, new in _THAT)
# "the first time I tried": "that" is not wanted; "what else can I", "is the ATM I": no relative clause.
_NO_RELATIVE = frozenset(
    [
        "time",
        "day",
        "moment",
        "week",
        "month",
        "year",
        "minute",
        "bit",
        "lot",
        "while",
        "reason",
        "way",
        "first",
        "last",
    ]
)


def _still(body: str) -> Iterator[str]:
    if re.search(r"\b(?:still|yet|ever|never|already)\b", body):
        without = re.sub(r"\bstill (?=haven't |hasn't |have not |has not )", "", body)
        if without != body:
            yield without
        return
    found = _STILL_NOT.search(body)
    if found is None or base_of_participle(found["rest"].split()[0]) is None:
        return
    yield f"{body[: found.start()]}{found['who']} still {found['aux']} {found['rest']}"
    if re.search(r"\b(?:and|but|if|when|because|since)\b", found["rest"]) is None:
        yield f"{body} yet"


def _that(body: str) -> Iterator[str]:
    for pattern, new in _THAT_PATTERNS:
        for found in pattern.finditer(body):
            last = found.group(1).split()[-1]
            is_relative = " " in found.group(1)
            if last not in _NO_RELATIVE and not (is_relative and is_base(last)):
                yield body[: found.start()] + found.expand(new) + body[found.end() :]


SMALL_WORDS: tuple[Rule, ...] = (
    body_rule("obligation", swaps(_OBLIGATION)),
    body_rule("ability", swaps(_ABILITY)),
    body_rule("still", _still),
    body_rule("that", _that),
)
