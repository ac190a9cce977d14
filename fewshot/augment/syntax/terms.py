"""Names of things turned round: "fracture of the femur" ↔ "femur fracture", "Bone Neoplasms" ↔ "Neoplasms, Bone".

Headings are inverted in catalogues and thesauri so that they sort under their main word (ISO 25964-1 advises against
it, which is why both forms are found).
"""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.anatomy import HEADS, PARTS, STUFFS, singular
from fewshot.augment.syntax.reading import without_capital
from fewshot.augment.syntax.rule import Rule, term_rule
from fewshot.augment.syntax.words import FUNCTION_WORDS, vocabulary

_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*[a-z]'?$")
_OF = re.compile(r"(?P<head>[\w' -]+?) of (?P<the>the )?(?P<part>[\w'-]+(?: [\w'-]+)?)$")
_INVERTED = re.compile(r"(?P<head>[^,()]+), (?P<rest>[^,()]+)$")
_CAUSE = re.compile(r"(?P<effect>.+?) (?P<link>due to|caused by|because of|resulting from) (?P<cause>.+)$")
_INDUCED = re.compile(r"(?P<cause>[A-Za-z]{3,})-(?P<link>[Ii]nduced) (?P<effect>.+)$")
_EPONYM = re.compile(r"(?P<name>[A-Z][a-z]+)(?P<owner>'s|(?<=s)'|) (?P<head>[\w-]+(?: [\w-]+)?)$")
# What bears the name of a person: "loop of Henle" is Henle's; "trial of labor" is no trial of Labor's.
_NAMED_AFTER = vocabulary(
    "angle band bundle canal circle duct foramen island islet law line loop node organ pentalogy pouch sign syndrome"
    " test tetralogy triangle valve"
)


def _to_heading(term: str) -> Iterator[str]:
    words = term.split()
    if not 2 <= len(words) <= 4 or any(word.lower() in FUNCTION_WORDS for word in words):
        return
    if all(_WORD.match(word) for word in words) and "," not in term and len(words[-1]) > 3:
        yield f"{words[-1]}, {' '.join(words[:-1])}"
        if len(words) == 3:
            yield f"{' '.join(words[1:])}, {words[0]}"


def _from_heading(term: str) -> Iterator[str]:
    found = _INVERTED.match(term)
    if found is None or len(found["rest"].split()) > 3 or re.search(r"\b(?:and|or)\b", term):
        return
    yield f"{without_capital(found['rest'])} {found['head']}"


def _to_of(term: str) -> Iterator[str]:
    *before, part, head = ("", "", *term.split())
    before = [word for word in before if word]
    if len(before) > 1 or singular(head).lower() not in HEADS:
        return
    # The adjective stays with the head: "acute kidney failure" is acute failure of the kidney. "Low back pain" is not
    # low pain, so that adjectives of place are left out.
    if before and before[0].lower() not in ("acute", "chronic", "severe", "congenital", "traumatic", "malignant"):
        return
    first = " ".join([*before, head])
    if part.lower() in PARTS:
        yield f"{first} {'in' if head.lower() == 'pain' else 'of'} the {part}"
    elif part.lower() in STUFFS:
        yield f"{first} of {part}"


def _from_of(term: str) -> Iterator[str]:
    found = _OF.match(term)
    if found is None or re.search(r"\b(?:and|or|of)\b", found["head"]):
        return
    head, part = found["head"], found["part"]
    *adjectives, last = head.split()
    named = (
        singular(last).lower() in _NAMED_AFTER
        and re.match(r"[A-Z]\w+$", part) is not None
        and not found["the"]
        and singular(part) == part
    )
    known = part.lower() in PARTS | STUFFS
    of_body = singular(last).lower() in HEADS
    if adjectives:
        if known and of_body:
            yield f"{' '.join(adjectives)} {part} {last}"
    elif known or ((of_body or named) and " " not in part):
        yield f"{part} {last}"


def _eponym(term: str) -> Iterator[str]:
    found = _EPONYM.match(term)
    if found is None or not found["owner"]:
        return
    yield f"{found['name']} {found['head']}"
    if found["name"].lower() not in FUNCTION_WORDS and singular(found["name"]) == found["name"]:
        yield f"{found['head']} of {found['name']}"


def _cause(term: str) -> Iterator[str]:
    found = _CAUSE.match(term)
    if found is not None:
        for link in ("due to", "caused by", "resulting from", "because of"):
            if found["link"] != link:
                yield f"{found['effect']} {link} {found['cause']}"
        return
    found = _INDUCED.match(term)
    if found is not None:
        yield f"{found['effect']} induced by {found['cause']}"


TERMS: tuple[Rule, ...] = (
    term_rule("inverted_heading", _to_heading),
    term_rule("plain_heading", _from_heading),
    term_rule("of_phrase", _to_of),
    term_rule("compound", _from_of),
    term_rule("eponym", _eponym),
    term_rule("cause", _cause),
)
