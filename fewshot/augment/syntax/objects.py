"""Objects in another order: "send my son a card" ↔ "send a card to my son", "set up a timer" ↔ "set a timer up"."""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.rule import Rule, body_rule
from fewshot.augment.syntax.words import one_of

_TO = ("give", "send", "lend", "bring", "show", "sell", "mail", "offer")
_FOR = ("book", "buy", "find", "order", "get", "make", "reserve", "play")
_VERB = rf"(?P<before>(?:.* )?)(?P<verb>{one_of(_TO + _FOR)})"
_PERSON = (
    r"(?P<who>me|us|him|them|her|(?:my|our) (?:daughter|son|child|kids?|children|wife|husband|spouse|partner|friends?"
    r"|mother|father|mom|dad|parents|family|brother|sister|boss|bank|doctor))"
)
_THING = r"(?P<thing>(?:a|an|the|my|some|another) (?:[\w-]+ )?(?!\w+ly\b)[\w-]+)"
_PERSON_FIRST = re.compile(rf"{_VERB} {_PERSON} {_THING}$")
_THING_FIRST = re.compile(rf"{_VERB} {_THING} (?P<link>to|for) {_PERSON}$")

_PARTICLES = frozenset(
    {
        "set up", "turn on", "turn off", "turn up", "turn down", "pull up", "look up", "top up", "call up", "bring up",
        "read out", "take out", "pay off", "pick up", "send out", "wake up", "write down", "switch on", "switch off",
        "give back", "shut off", "shut down", "cut off", "sort out", "fill out", "swap out", "set off",
    }
)  # fmt: skip
_OBJECT = r"(?P<thing>(?:my|the|a|an|this|that) (?:[\w-]+ )?(?![\w-]*(?:up|ly)\b)[\w-]+)"
_TOGETHER = re.compile(rf"(?<!auto )(?<!automatic )(?<!a )(?<!my )\b(?P<verb>{one_of(_PARTICLES)}) {_OBJECT}$")
_APART = re.compile(
    rf"\b(?P<verb>{one_of({pair.split()[0] for pair in _PARTICLES})}) {_OBJECT}"
    rf" (?P<particle>{one_of({pair.split()[1] for pair in _PARTICLES})})$"
)


def _dative(body: str) -> Iterator[str]:
    found = _PERSON_FIRST.match(body)
    if found is not None and not found["before"].endswith((" a ", "the ", "my ")):
        yield f"{found['before']}{found['verb']} {found['thing']} {_link(found['verb'])} {found['who']}"
    found = _THING_FIRST.match(body)
    if found is not None and found["link"] == _link(found["verb"]):
        yield f"{found['before']}{found['verb']} {found['who']} {found['thing']}"


def _particle(body: str) -> Iterator[str]:
    found = _TOGETHER.search(body)
    if found is not None:
        verb, particle = found["verb"].split()
        yield f"{body[: found.start()]}{verb} {found['thing']} {particle}"
    found = _APART.search(body)
    if found is not None and f"{found['verb']} {found['particle']}" in _PARTICLES:
        yield f"{body[: found.start()]}{found['verb']} {found['particle']} {found['thing']}"


def _link(verb: str) -> str:
    return "to" if verb in _TO else "for"


OBJECTS: tuple[Rule, ...] = (
    body_rule("dative", _dative),
    body_rule("particle", _particle),
)
