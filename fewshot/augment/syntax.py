"""The same words in another order or another frame, by the few rules that keep the meaning for certain.

A rule that is not certain of the text it sees leaves it alone.  Catalogues and thesauri invert headings so that they
sort under their main word (ISO 25964-1 advises against it, which is why both forms are found).
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import ClassVar

from fewshot.augment.source import AugmentRequest, Proposal, Source
from fewshot.errors import ConfigError
from fewshot.tasks.task import normalise

Rule = Callable[[str], Iterator[str]]


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


CARRIERS = (
    "the term {}", "about {}", "the topic of {}", "{} (term)", "the concept of {}", "regarding {}",
    "information about {}", "what is meant by {}", "on the subject of {}", "the name {}", "a definition of {}",
    "a note on {}", "{} as a topic", "concerning {}", "an entry on {}", "more about {}", "facts about {}",
    "in relation to {}", "this is about {}", "the following: {}",
)  # fmt: skip
# Frames that may stand for each other; "?" at the end marks a question.
FRAMES = {
    "how_to": (
        "how do I {}?", "how can I {}?", "how could I {}?", "how to {}?", "what is the way to {}?", "tell me how to {}",
        "please tell me how to {}", "can you tell me how to {}?", "I would like to know how to {}",
    ),
    "possibility": (
        "can I {}?", "could I {}?", "am I able to {}?", "is it possible to {}?", "is there a way to {}?",
        "is there any way to {}?", "would it be possible to {}?",
    ),
    "request": (
        "{}", "can you {}?", "could you {}?", "would you {}?", "please {}", "can you please {}?",
        "could you please {}?", "I need you to {}", "I would like you to {}",
    ),
    "wish": ("I want to {}", "I would like to {}", "I'd like to {}", "I wish to {}"),
}  # fmt: skip
# What one asks of somebody else; "can you charge my card" may ask whether that can happen at all.
_ASKED = _words(
    "activate add block book call cancel check close correct delete explain find fix freeze get give help locate "
    "order play put read remind remove reset schedule send set show start stop tell translate turn unblock update"
)
_REQUESTED = re.compile(
    rf"(?:{'|'.join(sorted(_ASKED))}) (?:me|us|my|our|your|a|an|the|this|that|these|those|all|some|up|off|on|out|for|"
    r"with|\W?\d+)\b"
)
_NO_SLOT = re.compile(
    r"[,;:.?!]|^(?:be|have|know|not|never|still|even|also|just)\b|\b(?:and|but|or|so|because) (?:am|is|are|was|do|does|"
    r"did|can|could|will|would|I|you|it|they|we|he|she|my|the)\b"
)
_SMALL_WORDS = _words(
    "I i you he she it we they me my your his her our their this that these those there here is are was were am be "
    "been do does did have has had will would can could should must may might not no a an what when where which who "
    "why how if because but please"
)
_JOINING = _words("of the and or in with without for by to due from on as at")
_NO_TERMS = _words("hi hello hey bye goodbye thanks thank yes no ok okay sorry help great sure")
_PARTS = _words(
    "abdomen ankle artery bladder brain breast cervix chest colon cornea ear elbow esophagus eye face femur fibula "
    "finger foot forearm hand head heart hip humerus jaw joint kidney knee larynx leg lip liver lung mandible mouth "
    "neck nose ovary pancreas pelvis penis pharynx prostate rectum retina rib scapula shoulder skin skull spine "
    "spleen stomach testis thigh throat thumb thyroid tibia toe tongue tooth ulna ureter urethra uterus vagina vein "
    "vulva wrist"
)
_STUFFS = _words("bone blood muscle cartilage tissue marrow")
_HAPPENS = _words(
    "abnormality abscess amputation atrophy biopsy cancer carcinoma contusion deformity disease dislocation disorder "
    "edema failure fibrosis fracture hemorrhage infection inflammation injury lesion neoplasm obstruction perforation "
    "rupture sarcoma sprain surgery transplantation trauma tuberculosis tumor tumour ulcer"
)
_HEADS = frozenset([*_HAPPENS, *(f"{head}s" for head in _HAPPENS), "abnormalities", "deformities", "injuries"])
_OF = re.compile(r"(?P<head>[\w-]+) of (?:the )?(?P<part>[\w-]+)$")
_INVERTED = re.compile(r"(?P<head>[^,()]+), (?P<rest>[^,()]+)$")
_HEADING_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*[a-z]'?$")
_NEGATED = (
    ("can't", "cannot"), ("won't", "will not"),
    *((f"{verb}n't", f"{verb} not") for verb in sorted(_words("is are was were do does did have has had would could"))),
)  # fmt: skip
_SHORTENED = (
    ("I am", "I'm"), ("(you|we|they) are", r"\1're"), ("(I|you|we|they) have (?=been)", r"\1've "),
    ("(I|you|we|they) will", r"\1'll"), ("(I|we) would (?=like|love|rather|prefer)", r"\1'd "),
    (r"(what|where|who) is (?=(?:the|my|your|a|this)\b)", r"\1's "),
    (r"(it|that|there) is (?=(?:not|a|an|the|my|still|very|so)\b)", r"\1's "),
)  # fmt: skip
_WRITTEN_OUT = (
    ("I'm", "I am"), ("(you|we|they)'re", r"\1 are"), ("(I|you|we|they)'ve", r"\1 have"),
    ("(I|you|he|she|it|we|they)'ll", r"\1 will"), ("(I|we|you|they) ?'d (?=like|love|rather|prefer)", r"\1 would "),
    (r"(it|that|there|what|where|who)'s (?=(?:the|my|your|a|an|this|not|still|very|so|in|on)\b)", r"\1 is "),
    ("let's", "let us"),
)  # fmt: skip
_LINKS = "as soon as|even though|if|when|because|since|after|before|while|once|until|unless|although|though"
_SUBJECT = r"(?:I|you|we|they|he|she|it|my|your|our|the|there|someone|a|an|this|I'm|I've|it's|I'd)\b"
_LINKED_FIRST = re.compile(rf"(?P<link>{_LINKS}) (?P<side>{_SUBJECT}[^,]+), (?:then )?(?P<main>[^,]+)$", re.IGNORECASE)
_LINKED_LAST = re.compile(rf"(?P<main>[^,]+?),? (?P<link>{_LINKS}) (?P<side>{_SUBJECT}[^,]+)$", re.IGNORECASE)
_ANY_LINK = re.compile(rf"\b(?:{_LINKS}|and|but|so|or|that|which|who|whether)\b|[;:]", re.IGNORECASE)
_POINTS_BACK = re.compile(r"\b(?:it|them|they|that|this|he|she)\b", re.IGNORECASE)
# Behind these words "if" and "when" begin what is asked, not a condition; "even if" is one link.
_ASKING = re.compile(
    r"\b(?:know|tell|ask|see|sure|wonder|wondering|check|understand|idea|is|was|me|out|confirm|about|it|even|explain|"
    r"remember|except|notice|only|just|not|day|date|time|ago|ever|long|hours?|days?|weeks?|months?|years?)$"
)


def is_term(text: str) -> bool:
    """Whether a text is a name of something, such as "Femur fracture", and no sentence."""
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
    """A rule that looks at one sentence at a time, without its capital and its mark.

    Args:
        rewrite: words → other words, and whether these ask (None: as the words before).
    """

    def rule(text: str) -> Iterator[str]:
        sentences = re.split(r"(?<=[.!?])\s+", " ".join(text.replace("’", "'").split()))
        for place, sentence in enumerate(sentences):
            words = sentence.rstrip(".?! ")
            mark = sentence[len(words) :].strip()
            small_i = text == text.lower() or re.search(r"\bi\b", sentence) is not None
            for new, asks in rewrite(re.sub(r"\bi\b", "I", _plain_start(words))) if not is_term(sentence) else ():
                end = mark if asks is None or not mark else "?" if asks else "." if "?" in mark else mark
                new = re.sub(r"\bI\b", "i", new) if small_i else new
                yield " ".join([*sentences[:place], _capital_of(words, new) + end, *sentences[place + 1 :]])

    return rule


def _frames(name: str) -> Rule:
    frames = FRAMES[name]
    known = [frame.rstrip("?").replace("{}", "(.+)") for frame in frames if frame != "{}"]
    pattern = re.compile("|".join(sorted(known, key=len, reverse=True)))

    def rewrite(words: str) -> Iterator[tuple[str, bool | None]]:
        found = pattern.fullmatch(words)
        slot = next((group for group in found.groups() if group), "") if found else words if "{}" in frames else ""
        if not slot or _NO_SLOT.search(slot):
            return
        if name == "request" and not _REQUESTED.match(slot):
            return
        for frame in frames:
            new = frame.rstrip("?").replace("{}", slot)
            if new != words:
                yield new, frame.endswith("?")

    return _of_sentences(rewrite)


def _swaps(pairs: Sequence[tuple[str, str]]) -> Rule:
    compiled = [(re.compile(rf"(?<![\w'-]){old}(?:(?<= )|(?![\w'-]))"), new) for old, new in pairs]

    def rewrite(words: str) -> Iterator[tuple[str, bool | None]]:
        for pattern, new in compiled:
            for found in pattern.finditer(words):
                # "why don't you" is not "why do not you".
                asks = found.start() == 0 or re.match(rf" {_SUBJECT}", words[found.end() :])
                if not (asks and found[0].endswith("n't")):
                    yield words[: found.start()] + found.expand(new) + words[found.end() :], None

    return _of_sentences(rewrite)


def _clause_order(words: str) -> Iterator[tuple[str, bool | None]]:
    """ "If A, B" ↔ "B if A"."""
    found = _LINKED_FIRST.match(words)
    if found is not None:
        if not _POINTS_BACK.search(found["main"]) and not re.match(r"(?:and|but|so|or)\b", found["main"]):
            yield f"{found['main']} {found['link']} {found['side']}", None
        return
    found = _LINKED_LAST.match(words)
    if found is None or _ASKING.search(found["main"]) or len(found["main"].split()) < 2:
        return
    one_clause = not _ANY_LINK.search(found["main"]) and not _ANY_LINK.search(found["side"])
    if one_clause and not _POINTS_BACK.search(found["side"]):
        yield f"{found['link']} {found['side']}, {found['main']}", None


def _inverted_heading(text: str) -> Iterator[str]:
    """ "Bone Neoplasms" → "Neoplasms, Bone"."""
    words = text.split()
    if not is_term(text) or not 2 <= len(words) <= 4 or not text[0].isupper() or len(words[-1]) < 4:
        return
    if all(map(_HEADING_WORD.match, words)) and not _JOINING & set(text.lower().split()):
        yield f"{words[-1]}, {' '.join(words[:-1])}"


def _plain_heading(text: str) -> Iterator[str]:
    """ "Neoplasms, Bone" → "Bone Neoplasms"."""
    found = _INVERTED.match(text)
    if is_term(text) and found is not None and len(found["rest"].split()) <= 3 and not re.search(r"\b(and|or)\b", text):
        yield _capital_of(text, f"{found['rest']} {found['head']}")


def _of_phrase(text: str) -> Iterator[str]:
    """ "femur fracture" → "fracture of the femur"."""
    part, _, head = text.partition(" ")
    if head.lower() in _HEADS and part.lower() in _PARTS | _STUFFS:
        yield f"{head} of {'the ' if part.lower() in _PARTS else ''}{part}"


def _compound(text: str) -> Iterator[str]:
    """ "fracture of the femur" → "femur fracture"."""
    found = _OF.match(text)
    if found is not None and found["head"].lower() in _HEADS and found["part"].lower() in _PARTS | _STUFFS:
        yield f"{found['part']} {found['head']}"


def carrier_rule(carriers: Sequence[str]) -> Rule:
    """The rule that puts a term into each of some phrases, so that a term of one word has company.

    Raises:
        ConfigError: a phrase has no `{}`, or several, or nothing beside it.
    """
    for carrier in carriers:
        if carrier.count("{}") != 1 or carrier.strip() == "{}":
            raise ConfigError(
                f"Got augment.sources.syntax.carriers with {carrier!r}, expected words with {{}} once where the term "
                'goes. Write it as "the term {}".'
            )

    def carry(text: str) -> Iterator[str]:
        for carrier in carriers if is_term(text) else ():
            yield _capital_of(text, carrier.replace("{}", _plain_start(text)))

    return carry


RULES: dict[str, Rule] = {
    "inverted_heading": _inverted_heading,
    "plain_heading": _plain_heading,
    "of_phrase": _of_phrase,
    "compound": _compound,
    "contraction": _swaps([*((full, short) for short, full in _NEGATED), *_SHORTENED]),
    "full_form": _swaps([*_NEGATED, *_WRITTEN_OUT]),
    "clause_order": _of_sentences(_clause_order),
    **{name: _frames(name) for name in FRAMES},
    "carrier": carrier_rule(CARRIERS),
}


class Syntax(Source):
    """Inversions of terms, clause order, contractions, frames of questions and requests, carrier phrases.

    Args:
        rules: names of the rules to use, see `RULES`; None is all.
        depth: most rules used on the way to one proposal.
        carriers: phrases for short terms, each with one `{}` where the term goes; empty for none.

    Raises:
        ConfigError: there is no such rule, `depth` is below 1, or a carrier has no place for the term.

    Example:
        >>> request = AugmentRequest(("Bone Neoplasms",), most=2)
        >>> [proposal.text for proposal in Syntax(rules=["inverted_heading"]).propose(request)[0]]
        ['Neoplasms, Bone']
    """

    name: ClassVar[str] = "syntax"

    def __init__(self, rules: Sequence[str] | None = None, depth: int = 3, carriers: Sequence[str] = CARRIERS):
        if depth < 1:
            raise ConfigError(f"Got augment.sources.syntax.depth={depth}, expected 1 or more. Set it to 3.")
        known = RULES | {"carrier": carrier_rule(carriers)}
        names = list(known if rules is None else dict.fromkeys(rules))
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(
                f"Got augment.sources.syntax.rules with {unknown[0]!r}, which is no rule. Expected some of "
                f"{', '.join(RULES)}; null is all."
            )
        self.rules = {name: known[name] for name in names}
        self.depth = depth

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """What the rules make of each text: that of one rule first, then of two, and so on."""
        return [self._proposals(text, request, index) for index, text in enumerate(request.texts)]

    def _proposals(self, text: str, request: AugmentRequest, index: int) -> list[Proposal]:
        chance = random.Random(request.text_seed(self.name, index))
        made = {normalise(text): Proposal(text, "")}
        level: list[tuple[str, tuple[str, ...]]] = [(text, ())]
        for _ in range(self.depth):
            by_rule = [
                [(new, (*used, name)) for old, used in level if name not in used for new in rule(old)]
                for name, rule in self.rules.items()
            ]
            for ways in by_rule:
                chance.shuffle(ways)
            chance.shuffle(by_rule)
            level = []
            for new, used in (way for turn in zip_longest(*by_rule) for way in turn if way is not None):
                if len(made) > request.most:
                    break
                if normalise(new) not in made:
                    made[normalise(new)] = Proposal(new, " + ".join(used))
                    level += [(new, used)] if used[-1] != "carrier" else []
        return list(made.values())[1 : request.most + 1]
