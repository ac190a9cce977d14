"""The same words in another order or another frame, by a few rules that keep the meaning.

A rule that may change the meaning of a text does not apply to it.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar

from fewshot.augment.source import AugmentRequest, Proposal, Source
from fewshot.ranges import Range, RangedSettings
from fewshot.tasks.task import normalise

Rule = Callable[[str], Iterator[str]]

_DEPTH = 3  # rules used on the way to one proposal
# The phrases and words of the rules; a "?" at the end of a frame marks a question.
_DATA = json.loads((Path(__file__).resolve().parent / "lexicons" / "syntax.json").read_text(encoding="utf-8"))
CARRIERS: tuple[str, ...] = tuple(_DATA["carriers"])
FRAMES: dict[str, tuple[str, ...]] = {name: tuple(frames) for name, frames in _DATA["frames"].items()}
# "asked": things that one asks of somebody else; "can you charge my card" may ask if that can happen at all.
_ASKED, _SMALL_WORDS, _JOINING, _NO_TERMS, _PARTS, _STUFFS = (
    frozenset(_DATA["words"][name].split())
    for name in ("asked", "small_words", "joining", "no_terms", "parts", "stuffs")
)
_REQUESTED = re.compile(
    rf"(?:{'|'.join(sorted(_ASKED))}) (?:me|us|my|our|your|a|an|the|this|that|these|those|all|some|up|off|on|out|for|"
    r"with|\W?\d+)\b"
)
_NO_SLOT = re.compile(
    r"[,;:.?!]|^(?:be|have|know|not|never|still|even|also|just)\b|\b(?:and|but|or|so|because) (?:am|is|are|was|do|does|"
    r"did|can|could|will|would|I|you|it|they|we|he|she|my|the)\b"
)
_HEADS = re.compile(
    rf"(?:{'|'.join(_DATA['words']['heads'].split())})s?|injur(?:y|ies)|(?:abnormal|deform)it(?:y|ies)", re.IGNORECASE
)
_OF = re.compile(r"(?P<head>[\w-]+) of (?:the )?(?P<part>[\w-]+)")
_HEADING = re.compile(r"(?P<head>[^,()]+), (?P<rest>[^,()]+)")
_HEADING_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*[a-z]'?")
_LINKS = "as soon as|even though|if|when|because|since|after|before|while|once|until|unless|although|though"
_SUBJECT = r"(?:I|you|we|they|he|she|it|my|your|our|the|there|someone|a|an|this|I'm|I've|it's|I'd)\b"
_LINKED_FIRST = re.compile(rf"(?P<link>{_LINKS}) (?P<side>{_SUBJECT}[^,]+), (?:then )?(?P<main>[^,]+)$", re.IGNORECASE)
_LINKED_LAST = re.compile(rf"(?P<main>[^,]+?),? (?P<link>{_LINKS}) (?P<side>{_SUBJECT}[^,]+)$", re.IGNORECASE)
_ANY_LINK = re.compile(rf"\b(?:{_LINKS}|and|but|so|or|that|which|who|whether)\b|[;:]", re.IGNORECASE)
_POINTS_BACK = re.compile(r"\b(?:it|them|they|that|this|he|she)\b", re.IGNORECASE)
# Behind these words "if" and "when" begin what is asked, not a condition; "even if" is one link.
_ASKING = re.compile(rf"\b(?:{'|'.join(_DATA['words']['asking'].split())}|(?:hour|day|week|month|year)s?)$")


def is_term(text: str) -> bool:
    """True if a text is a name of something, such as "Femur fracture", and no sentence."""
    words = text.split()
    lowered = [word.strip(",()").lower() for word in words]
    if not 0 < len(words) <= 8 or re.search(r"[.?!:;]$", text) or lowered[0] in _NO_TERMS:
        return False
    if len(words) > 1 and (words[0] in _ASKED or (words[-1].islower() and words[-1].endswith("ed"))):
        return False  # "set alarm", "transfer failed"
    return not any(word in _SMALL_WORDS or "'t" in word for word in lowered)


def _plain_start(text: str) -> str:
    """A text as it stands inside a sentence: "I", abbreviations and names of several words keep their capital."""
    first, _, rest = text.partition(" ")
    is_name = first.split("'")[0] == "I" or not first[1:].islower() or rest[:1].isupper()
    return text if is_name and first.lower() not in _SMALL_WORDS - {"i"} else text[:1].lower() + text[1:]


def _capital_of(old: str, new: str) -> str:
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def _of_sentences(rewrite: Callable[[str], Iterator[tuple[str, bool | None]]]) -> Rule:
    """A rule for each sentence without capital and mark: words → new words, and True if these ask (None: as before)."""

    def rule(text: str) -> Iterator[str]:
        sentences = re.split(r"(?<=[.!?])\s+", " ".join(text.replace("’", "'").split()))
        for index, sentence in enumerate(sentences):
            words = sentence.rstrip(".?! ")
            mark = sentence[len(words) :].strip()
            small_i = text == text.lower() or re.search(r"\bi\b", sentence) is not None
            for new, asks in rewrite(re.sub(r"\bi\b", "I", _plain_start(words))) if not is_term(sentence) else ():
                end = mark if asks is None or not mark else "?" if asks else "." if "?" in mark else mark
                new = re.sub(r"\bI\b", "i", new) if small_i else new
                yield " ".join([*sentences[:index], _capital_of(words, new) + end, *sentences[index + 1 :]])

    return rule


def _frames(name: str) -> Rule:
    frames = FRAMES[name]
    known = [frame.rstrip("?").replace("{}", "(.+)") for frame in frames if frame != "{}"]
    pattern = re.compile("|".join(sorted(known, key=len, reverse=True)))

    def rewrite(words: str) -> Iterator[tuple[str, bool | None]]:
        match = pattern.fullmatch(words)
        slot = next((group for group in match.groups() if group), "") if match else words if "{}" in frames else ""
        if slot and not _NO_SLOT.search(slot) and (name != "request" or _REQUESTED.match(slot)):
            made = [(frame.rstrip("?").replace("{}", slot), frame.endswith("?")) for frame in frames]
            yield from (pair for pair in made if pair[0] != words)

    return _of_sentences(rewrite)


def _contractions(words: str) -> Iterator[tuple[str, bool | None]]:
    """ "do not" ↔ "don't", at one place."""
    for pair in _DATA["contractions"].items():
        for old, new in (pair, pair[::-1]):
            for match in re.finditer(rf"(?<![\w'-]){old}(?![\w'-])", words):
                # "why don't you" is not "why do not you".
                asks = match.start() == 0 or re.match(rf" {_SUBJECT}", words[match.end() :])
                if not (asks and old.endswith("n't")):
                    yield words[: match.start()] + new + words[match.end() :], None


def _clause_order(words: str) -> Iterator[tuple[str, bool | None]]:
    """ "If A, B" ↔ "B if A"."""
    first, last = _LINKED_FIRST.match(words), _LINKED_LAST.match(words)
    if first is not None:
        if not _POINTS_BACK.search(first["main"]) and not re.match(r"(?:and|but|so|or)\b", first["main"]):
            yield f"{first['main']} {first['link']} {first['side']}", None
    elif last is not None and not _ASKING.search(last["main"]) and " " in last["main"]:
        one_clause = not _ANY_LINK.search(last["main"]) and not _ANY_LINK.search(last["side"])
        if one_clause and not _POINTS_BACK.search(last["side"]):
            yield f"{last['link']} {last['side']}, {last['main']}", None


def _inversion(text: str) -> Iterator[str]:
    """ "Bone Neoplasms" ↔ "Neoplasms, Bone", "femur fracture" ↔ "fracture of the femur"."""
    if not is_term(text):
        return
    words, heading, of = text.split(), _HEADING.fullmatch(text), _OF.fullmatch(text)
    if heading is not None and len(heading["rest"].split()) <= 3 and not {"and", "or"} & set(words):
        yield _capital_of(text, f"{heading['rest']} {heading['head']}")
    if of is not None and _HEADS.fullmatch(of["head"]) and of["part"].lower() in _PARTS | _STUFFS:
        yield f"{of['part']} {of['head']}"
    if len(words) == 2 and _HEADS.fullmatch(words[1]) and words[0].lower() in _PARTS | _STUFFS:
        yield f"{words[1]} of {'the ' if words[0].lower() in _PARTS else ''}{words[0]}"
    is_heading = 2 <= len(words) <= 4 and text[0].isupper() and all(map(_HEADING_WORD.fullmatch, words))
    if is_heading and len(words[-1]) > 3 and not _JOINING & set(text.lower().split()):
        yield f"{words[-1]}, {' '.join(words[:-1])}"


def _carriers(text: str) -> Iterator[str]:
    """A term in each of some phrases, so that a term of one word has context."""
    for carrier in CARRIERS if is_term(text) else ():
        yield _capital_of(text, carrier.replace("{}", _plain_start(text)))


RULES: dict[str, Rule] = {
    "inversion": _inversion,
    "contraction": _of_sentences(_contractions),
    "clause_order": _of_sentences(_clause_order),
    **{name: _frames(name) for name in FRAMES},
    "carrier": _carriers,
}


@dataclass(eq=False)
class Syntax(RangedSettings, Source):
    """Inversions of terms, clause order, contractions, frames of questions and requests, carrier phrases.

    Args:
        rules: names of the rules to use, see `RULES`; None is all.

    Example:
        >>> request = AugmentRequest(("Bone Neoplasms",), max_new=2)
        >>> [proposal.text for proposal in Syntax(rules=["inversion"]).propose(request)[0]]
        ['Neoplasms of Bone', 'Neoplasms, Bone']
    """

    name: ClassVar[str] = "syntax"
    GROUP: ClassVar[str] = "augment.sources.syntax"
    RANGES: ClassVar[dict[str, Range]] = {
        "rules": (lambda rules: set(rules or ()) <= set(RULES), f"some of {', '.join(RULES)}; null is all")
    }

    rules: Sequence[str] | None = None

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """The new texts of the rules: first those of one rule, then of two, and so on."""
        return [self._proposals(request, index) for index in range(len(request.texts))]

    def _proposals(self, request: AugmentRequest, index: int) -> list[Proposal]:
        text, generator = request.texts[index], random.Random(request.text_seed(self.name, index))
        rules = {name: RULES[name] for name in (RULES if self.rules is None else self.rules)}
        made = {normalise(text): Proposal(text, "")}
        level: list[tuple[str, tuple[str, ...]]] = [(text, ())]
        for _ in range(_DEPTH):
            by_rule = [
                [(new, (*used, name)) for old, used in level if name not in used for new in rule(old)]
                for name, rule in rules.items()
            ]
            for pairs in by_rule:
                generator.shuffle(pairs)
            generator.shuffle(by_rule)
            level = []
            for new, used in (pair for turn in zip_longest(*by_rule) for pair in turn if pair is not None):
                if len(made) > request.max_new:
                    break
                if normalise(new) not in made:
                    made[normalise(new)] = Proposal(new, " + ".join(used))
                    level += [(new, used)] if used[-1] != "carrier" else []
        return list(made.values())[1 : request.max_new + 1]
