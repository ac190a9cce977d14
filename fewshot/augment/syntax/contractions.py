"""Contracted and full forms: "do not" ↔ "don't".

What could stand for two things is left alone: "'s" after a noun, "it's been", "I'd paid".
"""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.rule import Rule, body_rule, swaps
from fewshot.augment.syntax.subjects import split_question
from fewshot.augment.syntax.verbs import base_of_participle
from fewshot.augment.syntax.words import ADVERBS, DETERMINERS, NEGATED, PREPOSITIONS, one_of

_FULL = (
    ("isn't", "is not"), ("aren't", "are not"), ("wasn't", "was not"), ("weren't", "were not"), ("don't", "do not"),
    ("doesn't", "does not"), ("didn't", "did not"), ("haven't", "have not"), ("hasn't", "has not"),
    ("hadn't", "had not"), ("won't", "will not"), ("wouldn't", "would not"), ("couldn't", "could not"),
    ("shouldn't", "should not"), ("can't", "cannot"),
)  # fmt: skip
_UNMARKED = tuple(
    (full.replace("'", ""), full) for full, _ in _FULL if full not in ("won't",)
)  # "dont" is no word; "wont" is
_BEFORE_S = one_of(["it", "that", "there", "what", "where", "who", "how", "he", "she", "What", "Where"])
# After these words "'s" is "is", never "has".
_IS_NEXT = one_of((DETERMINERS | PREPOSITIONS | ADVERBS - {"already", "ever", "never", "just", "not"}) - {"like"})
_EXPAND = (
    *((re.escape(short), full) for short, full in _FULL),
    *_UNMARKED,
    (r"I'm", "I am"), (r"im", "I am"), (r"(you|we|they)'re", r"\1 are"), (r"(I|you|we|they)'ve", r"\1 have"),
    (r"ive", "I have"), (r"(I|you|he|she|it|we|they|that|there)'ll", r"\1 will"),
    (r"(I|we|you|they|he|she)'d (?=like|love|rather|prefer)", r"\1 would "),
    (rf"({_BEFORE_S})'s (?={_IS_NEXT}\b)", r"\1 is "), (r"whats", "what is"), (r"let's", "let us"),
)  # fmt: skip
_CONTRACT = (
    *((re.escape(full), short) for short, full in _FULL), (r"can not", "can't"),
    (r"I am (?=\w)", "I'm "), (r"(you|we|they) are (?=\w)", r"\1're "), (r"(I|you|we|they) will (?=\w)", r"\1'll "),
    (r"(I|we) would (?=like|love|rather|prefer)", r"\1'd "),
    (r"(what|where|who) is (?=(?:the|my|your|a|this)\b)", r"\1's "),
    (r"(it|that|there) is (?=(?:not|a|an|the|my|still|very|so)\b)", r"\1's "),
)  # fmt: skip
_expand_words = swaps(_EXPAND)
_contract_words = swaps(_CONTRACT)
_NEGATED_QUESTION = re.compile(
    rf"(?P<wh>(?:(?:why|when|what|where|how come|who) )?)(?P<aux>{one_of(NEGATED)}) (?P<rest>.+)$"
)
_HAVE = re.compile(r"(?<![\w'])(?P<who>I|you|we|they) have (?P<next>[\w-]+)(?P<after> [\w-]+)?")
_COLLOQUIAL = (
    (r"(?<=I )want to", "wanna"), (r"wanna", "want to"), (r"gonna", "going to"), (r"gotta", "have to"),
    (r"gimme", "give me"), (r"lemme", "let me"), (r"thx", "thanks"),
    (r"pls", "please"), (r"'til", "until"), (r"till", "until"),
)  # fmt: skip


def _contract_have(body: str) -> Iterator[str]:
    for found in _HAVE.finditer(body):
        # "I have a card" is not contracted; "I have lost my card" is, and not "do I have".
        before = body[: found.start()].split()
        if base_of_participle(found["next"]) and found["next"] != "to" and (*before[-1:], "")[0] not in ("do", "did"):
            yield f"{body[: found.start()]}{found['who']}'ve {body[found.start('next') :]}"


def _expand(body: str) -> Iterator[str]:
    question = _NEGATED_QUESTION.match(body)
    if question is None:
        yield from _expand_words(body)
        return
    parts = split_question(question["aux"], question["rest"].split())
    if parts is not None:  # "why hasn't my card come" → "why has my card not come"
        full = NEGATED[question["aux"]].split()[0]
        yield f"{question['wh']}{full} {parts[0]} not {parts[1]}".strip()


def _contract(body: str) -> Iterator[str]:
    yield from _contract_words(body)
    yield from _contract_have(body)


CONTRACTIONS: tuple[Rule, ...] = (
    body_rule("contraction", _contract),
    body_rule("full_form", _expand),
    body_rule("colloquial", swaps(_COLLOQUIAL)),
)
