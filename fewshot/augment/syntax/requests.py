"""Requests and wishes: "set a timer" ↔ "could you set a timer", "I want to …" ↔ "I would like to …"."""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.frames import Family
from fewshot.augment.syntax.questions import begins_with_verb
from fewshot.augment.syntax.reading import Sentence
from fewshot.augment.syntax.rule import Rule, sentence_rule

_KNOWING = re.compile(r"(?:know|find out|ask|understand|tell me (?:how|what|when|where|why|if)|let me know|explain)\b")
_STATES = re.compile(r"\b(?:and|but) (?:am|is|was|I|it|they|something|my|the|can|cannot|\w+n't)\b")
_PERSON = re.compile(r"(?:you|to|him|them|her)\b")


def _is_task(words: str) -> bool:
    return begins_with_verb(words) and not _KNOWING.match(words) and not words.startswith("help me ")


def _is_wish(words: str) -> bool:
    # Behind "help me" goes what is wished for, not a second statement: "… and am not able to", "… but it fails".
    return _is_task(words) and _STATES.search(words) is None


def _is_thing(words: str) -> bool:
    return re.match(r"(?:a|an|another|some(?! help)|more|the|my|\d+)\b .", words) is not None


REQUEST = Family(
    (
        "can you {}?",
        "could you {}?",
        "would you {}?",
        "can you please {}?",
        "could you please {}?",
        "please {}",
        "I need you to {}",
        "I want you to {}",
        "I would like you to {}",
        "I'd like you to {}",
        "would you be able to {}?",
        "are you able to {}?",
    ),
    ("will you {}?", "would you please {}?", "will you please {}?", "kindly {}", "are you able to {}?"),
    _is_task,
)
WISH = Family(
    (
        "I want to {}",
        "I would like to {}",
        "I need to {}",
        "I wish to {}",
        "I am looking to {}",
        "I am trying to {}",
        "I was hoping to {}",
        "please help me {}",
        "can you help me {}?",
        "could you help me {}?",
        "I'd like some help to {}",
        "I need help to {}",
    ),
    ("I'd like to {}", "I wanna {}", "I have to {}", "I got to {}", "I gotta {}", "help me {}", "help me to {}",
     "will you help me {}?", "I must {}", "please help me to {}", "can you help me to {}?", "I'd love to {}"),
    _is_wish,
)  # fmt: skip
THING = Family(
    (
        "I need {}",
        "I would like {}",
        "I want {}",
        "I'd like to have {}",
        "I am looking for {}",
        "can I get {}?",
        "could I have {}?",
        "can you get me {}?",
        "I would like to get {}",
    ),
    ("I'd like {}", "may I have {}?", "can I have {}?", "could I get {}?", "I want to have {}", "get me {}"),
    lambda words: _is_thing(words) and not re.search(r" (?:I|you|is|are|but|because|so|and (?:I|it|you|my)) ", words),
)
HELP = Family(
    (
        "I need help with {}",
        "can you help me with {}?",
        "could you help me with {}?",
        "please help me with {}",
        "I need some help with {}",
        "I would like help with {}",
        "can I get some help with {}?",
        "I need assistance with {}",
    ),
    ("help me with {}", "can I get assistance with {}?", "I want help with {}", "can I get help with {}?",
     "I'd like help with {}", "can someone help me with {}?"),
)  # fmt: skip


def _request(sentence: Sentence) -> Iterator[Sentence]:
    body = sentence.body
    if sentence.is_request and _is_task(body):
        yield from REQUEST.fill(sentence, body)
        return
    action = REQUEST.slot(body)
    if action is not None:
        yield sentence.say(action, asks=False)
        yield from REQUEST.rewrite(sentence)


def _help(sentence: Sentence) -> Iterator[Sentence]:
    thing = HELP.slot(sentence.body)
    if thing is not None and _PERSON.match(thing) is None:
        yield from HELP.fill(sentence, thing)


REQUESTS: tuple[Rule, ...] = (
    sentence_rule("request", _request),
    sentence_rule("wish", WISH.rewrite),
    sentence_rule("wish_for_thing", THING.rewrite),
    sentence_rule("help_with", _help),
)
