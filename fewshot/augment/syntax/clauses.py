"""Main and subordinate clause in another order: "if A, B" ↔ "B if A"; "A so B" ↔ "B because A"; possessives."""

import re
from collections.abc import Iterator
from dataclasses import replace

from fewshot.augment.syntax.reading import Sentence, Text
from fewshot.augment.syntax.rule import Rule, body_rule, sentence_rule
from fewshot.augment.syntax.verbs import is_base, is_finite
from fewshot.augment.syntax.words import AUXILIARIES, PREPOSITIONS

_LINKS = r"as soon as|even though|if|when|because|since|after|before|while|once|until|unless|although|though"
_SUBJECT = r"(?:I|you|we|they|he|she|it|my|the|there|someone|a|an|this|your|our|I'm|I've|it's|I'd)\b"
_FIRST = re.compile(rf"(?P<link>{_LINKS}) (?P<side>{_SUBJECT}[^,]+), (?:then )?(?P<main>[^,]+)$")
_QUESTION = (
    r"(?:(?:can|could|do|does|will|would|should|may|is|are|am) (?:I|you|we|it|there|my|the)|how|what|why|where|who)\b"
)
_FIRST_ASKING = re.compile(rf"(?P<link>{_LINKS}) (?P<side>{_SUBJECT}[^,]+?) (?P<main>{_QUESTION}[^,]+)$")
_LAST = re.compile(rf"(?P<main>[^,]+?),? (?P<link>{_LINKS}) (?P<side>{_SUBJECT}[^,]+)$")
# Behind these words "if" and "when" begin what is asked, not a condition.
_ASKING = re.compile(
    r"\b(?:know|tell|ask|asking|see|sure|wonder|wondering|check|understand|idea|is|was|me|out|confirm|about|it|even"
    r"|explain|remember|notify|except|notice|only|just|not|day|date|time|look|see|a|hours?|days?|weeks?|minutes?|long)$"
)
# What has been named before must stay before: "if it is lost, can I block my card" is harder to read.
_POINTS_BACK = re.compile(r"\b(?:it|them|they|that|this|he|she)\b")
# Main clauses that are there for the other clause only.
_EMPTY = ("I am writing", "I am contacting you", "I'm writing", "I'm contacting you")
_BEGINS = re.compile(_SUBJECT)
_SO = re.compile(
    r"(?P<cause>[^,]+?),? so (?P<effect>(?:I|we|it|they|my|the|please)\b(?! can (?!not))(?! could (?!not))[^,]+)$"
)
_SO_CAUSE = re.compile(rf"(?P<effect>[^,]+?),? because (?P<cause>{_SUBJECT}[^,]+)$")
_BUT = re.compile(rf"(?P<first>[^,]+?),? but (?P<second>{_SUBJECT}[^,]+)$")
_ALTHOUGH = re.compile(rf"(?P<first>[^,]+?),? (?:although|even though) (?P<second>{_SUBJECT}[^,]+)$")
_ANY_LINK = re.compile(r"\b(?:and|but|so|because|although|though|if|when|while|until|or|that|which|who|where)\b|[;:]")
_OF_MINE = re.compile(
    r"\bthe (?P<thing>[a-z-]+(?: (?:date|code|number|limit|balance|rate|payment|address|status|type|pressure))?)"
    r" (?:of|on|for) (?P<owner>my(?: [a-z-]+){1,3})$"
)
_MINE = re.compile(r"\b(?P<owner>my (?:[a-z-]+ ){0,2}[a-z-]*[a-rt-z])'s (?P<thing>(?!due$)[a-z-]+(?: [a-z-]+)?)$")


def _order(text: Text) -> Iterator[Text]:
    for index, sentence in enumerate(text.sentences):
        following = text.sentences[index + 1 : index + 2]
        if sentence.mark == "," and following and not following[0].head:  # "if A, can I B?" is read as two
            new = _main_first(f"{sentence.body}, {following[0].body}")
            if new is not None:
                joined = replace(following[0], body=new, head=sentence.head)
                yield replace(text, sentences=(*text.sentences[:index], joined, *text.sentences[index + 2 :]))
            continue
        new = _main_first(sentence.body) or _main_last(sentence.body)
        if new is not None:
            yield text.with_sentence(index, sentence.say(new))


def _main_first(body: str) -> str | None:
    found = _FIRST.match(body) or _FIRST_ASKING.match(body)
    if found is None or re.match(r"(?:and|but|so|or|it|they|he|she)\b", found["main"]):
        return None
    if _POINTS_BACK.search(found["main"]):
        return None
    return f"{found['main']} {found['link']} {found['side']}"


def _main_last(body: str) -> str | None:
    found = _LAST.match(body)
    if found is None or found["main"] in _EMPTY or _ASKING.search(found["main"]) or len(found["main"].split()) < 2:
        return None
    if _ANY_LINK.search(found["main"]) and not re.match(r"(?:who|where)\b", found["main"]):
        return None
    if found["main"].split()[-1] in PREPOSITIONS or _POINTS_BACK.search(found["side"]):
        return None
    if not (_has_verb(found["main"]) and _has_verb(found["side"])) or _ANY_LINK.search(found["side"]):
        return None
    return f"{found['link']} {found['side']}, {found['main']}"


def _cause(sentence: Sentence) -> Iterator[Sentence]:
    if sentence.is_question:
        return
    for pattern, joint in ((_SO, " because "), (_SO_CAUSE, ", so ")):
        found = pattern.match(sentence.body)
        if (
            found is None
            or found["effect"] in _EMPTY
            or _ANY_LINK.search(found["cause"])
            or _ANY_LINK.search(found["effect"])
        ):
            continue
        first, second = ("effect", "cause") if joint == " because " else ("cause", "effect")
        begins_well = re.match(r"(?:I|we|my|the|please)\b", found[first]) and _BEGINS.match(found["cause"])
        if (
            begins_well
            and not _POINTS_BACK.search(found[first])
            and _has_verb(found[first])
            and _has_verb(found[second])
        ):
            yield sentence.say(f"{found[first]}{joint}{found[second]}")


def _contrast(sentence: Sentence) -> Iterator[Sentence]:
    for pattern in (_BUT, _ALTHOUGH):
        found = pattern.match(sentence.body)
        if found is None or sentence.is_question or not _BEGINS.match(found["first"]):
            continue
        first, second = found["first"], found["second"]
        if _ANY_LINK.search(first) or _ANY_LINK.search(second) or not (_has_verb(first) and _has_verb(second)):
            continue
        if pattern is _BUT:
            yield sentence.say(f"although {first}, {second}")
            yield sentence.say(f"even though {first}, {second}")
        else:
            yield sentence.say(f"{second}, but {first}")


def _possessive(body: str) -> Iterator[str]:
    found = _OF_MINE.search(body)
    if found is not None and not found["owner"].endswith("s") and not _has_verb(" ".join(found["owner"].split()[2:])):
        yield f"{body[: found.start()]}{found['owner']}'s {found['thing']}"
    found = _MINE.search(body)
    if found is not None:
        yield f"{body[: found.start()]}the {found['thing']} of {found['owner']}"


def _has_verb(words: str) -> bool:
    return any(
        word in AUXILIARIES or is_finite(word) or is_base(word) or word in ("I'm", "I've", "it's", "I'd", "what's")
        for word in words.split()
    )


CLAUSES: tuple[Rule, ...] = (
    Rule("clause_order", _order),
    sentence_rule("because", _cause),
    sentence_rule("although", _contrast),
    body_rule("possessive", _possessive),
)
