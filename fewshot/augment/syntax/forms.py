"""The same words with other joints: hyphens, slashes and brackets."""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.rule import Rule, body_rule
from fewshot.augment.syntax.words import vocabulary

# A bound part is no word of its own: "non-toxic" is not "non toxic".
_BOUND = vocabulary("non anti re pre post co ex un sub semi multi over under self inter intra extra pro de bi")
_HYPHEN = re.compile(r"(?<![\w-])(?P<first>[A-Za-z]{2,})-(?P<second>[A-Za-z]{2,})(?![\w'-])")
_OPEN = re.compile(
    r"\b(?P<first>top|sign|log|check|set|follow|pick|back|jump|direct) "
    r"(?P<second>up|ups|in|ins|out|start|debit|debits)\b"
)
_NOUN_PLACE = re.compile(r"(?:my|the|a|an|your|this|auto|last|recent|automatic|each|every) $")
_SLASH = re.compile(r"(?<![\w/])(?P<first>[A-Za-z]{3,})/(?P<second>[A-Za-z]{3,})(?![\w/])")
_OR = re.compile(r"(?<!either )\b(?P<first>[a-z]{3,}) or (?P<second>[a-z]{3,})\b(?= (?:card|account|bank)\b)")
_BRACKET = re.compile(r"(?P<before>.+[a-z]) \((?P<inside>[A-Za-z][A-Za-z -]{2,})\)$")


def _hyphen(body: str) -> Iterator[str]:
    for found in _HYPHEN.finditer(body):
        if found["first"].lower() not in _BOUND:
            yield f"{body[: found.start()]}{found['first']} {found['second']}{body[found.end() :]}"
    for found in _OPEN.finditer(body):
        if _NOUN_PLACE.search(body[: found.start()]):
            yield f"{body[: found.start()]}{found['first']}-{found['second']}{body[found.end() :]}"


def _slash(body: str) -> Iterator[str]:
    for found in _SLASH.finditer(body):
        if (found["first"].lower(), found["second"].lower()) != ("and", "or"):
            yield f"{body[: found.start()]}{found['first']} or {found['second']}{body[found.end() :]}"
    for found in _OR.finditer(body):
        yield f"{body[: found.start()]}{found['first']}/{found['second']}{body[found.end() :]}"


def _brackets(body: str) -> Iterator[str]:
    found = _BRACKET.match(body)
    if found is not None:
        yield f"{found['before']}, {found['inside']}"
        yield f"{found['before']}: {found['inside']}"


FORMS: tuple[Rule, ...] = (
    body_rule("hyphen", _hyphen, ("sentences", "term")),
    body_rule("slash", _slash, ("sentences", "term")),
    body_rule("brackets", _brackets, ("sentences", "term")),
)
