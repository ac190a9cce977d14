"""Direct and indirect questions: "why did my top up fail?" ↔ "can you tell me why my top up failed?"."""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.frames import Family
from fewshot.augment.syntax.questions import HOW_TO
from fewshot.augment.syntax.reading import Sentence
from fewshot.augment.syntax.rule import Rule, sentence_rule
from fewshot.augment.syntax.subjects import direct, indirect, is_noun_phrase, split_clause, split_question
from fewshot.augment.syntax.verbs import is_base, is_finite
from fewshot.augment.syntax.words import AUXILIARIES, WH_WORDS, one_of

_WH = rf"(?:(?:at |in |for |on )?(?:{'|'.join(sorted(WH_WORDS))}))"
_AUXILIARY = one_of(AUXILIARIES)
_WH_PHRASE = rf"(?P<wh>{_WH}(?: (?!{_AUXILIARY}\b)[\w-]+){{0,3}}?)"
_WH_QUESTION = re.compile(rf"{_WH_PHRASE} (?P<aux>{_AUXILIARY}) (?P<rest>.+)$")
_YES_NO = re.compile(rf"(?P<aux>{_AUXILIARY}) (?P<rest>.+)$")
_CLAUSE = re.compile(rf"(?P<wh>{_WH}(?: [\w-]+)??|if|whether) (?P<rest>.+)$")
_WHAT_IS = re.compile(r"(?:what is|what's|what are) (?P<thing>(?:the|my|your|our|some|today's|tomorrow's) .+)$")
# Here what is asked for is the subject, and the order is that of a statement already.
_IS_THERE = re.compile(
    r"(?:how (?:many|much)|what|which)(?: [\w-]+){1,4}? (?:is|are|was|were) "
    r"(?:in|on|at|available|included|required|needed|charged|involved)\b"
)
_MODAL_HOW = re.compile(r"how (?:can|could|would|should)\b")
_FIXED = re.compile(r"(?:the|your|my) (?:deal|matter|problem|issue|point|story|heck|hell)\b")
_UNFINISHED = re.compile(
    r"(?:the|your|my)(?: \S+){1,5}? "
    r"(?:\w+ing (?:in|to|on|at|for|like)\b|(?:\w+ing|called|worth|like|about|for|due|on|at)$|supposed to\b)"
)
_WHO_DOES = re.compile(r"(?:what|who|which [a-z]+) (?P<verb>[a-z]+)\b")


def _is_clause(words: str) -> bool:
    if words.startswith(("how to ", "what to ", "where to ")):
        return True
    clause = _CLAUSE.match(words)
    # "know why is it late" is a direct question behind a frame: not to be given to another frame.
    return clause is not None and clause["rest"].split()[0] not in AUXILIARIES


def _is_reason(words: str) -> bool:
    return re.match(r"(?:why|how (?:I|you|we|it|my|the|to)) ", words) is not None and _is_clause(words)


_WH_FRAMES = (
    "can you tell me {}?",
    "could you tell me {}?",
    "do you know {}?",
    "please tell me {}",
    "tell me {}",
    "I would like to know {}",
    "I want to know {}",
    "I need to know {}",
    "I'd like to find out {}",
    "could you let me know {}?",
    "please let me know {}",
    "I was wondering {}",
    "I am wondering {}",
    "I wonder {}",
)
_UNDERSTOOD = (
    "would you tell me {}?", "will you tell me {}?", "let me know {}", "I'd like to know {}", "I wanna know {}",
    "I wish to know {}", "I must know {}", "may I ask {}?", "can I ask {}?", "can you let me know {}?",
    "I need to find out {}",
    "I want to find out {}", "I would like to find out {}", "can you check {}?", "do you happen to know {}?",
    "DO you know {}?", "could you please let me know {}?",
)  # fmt: skip
ASK = Family(_WH_FRAMES, _UNDERSTOOD, _is_clause)
EXPLAIN = Family(
    (
        "can you explain {}?",
        "could you explain {}?",
        "please explain {}",
        "can you help me understand {}?",
        "I would like to understand {}",
        "I want to understand {}",
    ),
    ("explain {}", "explain to me {}", "can you explain to me {}?", "help me understand {}", *_WH_FRAMES, *_UNDERSTOOD),
    _is_reason,
)
_THING = Family(
    (
        "can you tell me {}?",
        "could you tell me {}?",
        "please tell me {}",
        "tell me {}",
        "I would like to know {}",
        "I want to know {}",
        "I need to know {}",
        "do you know {}?",
        "please let me know {}",
    ),
    (
        "give me {}",
        "I'd like to know {}",
        "let me know {}",
        "I wanna know {}",
        "can you give me {}?",
        "can you let me know {}?",
    ),
    lambda words: words.startswith(("the ", "my ", "your ", "some ", "today's ", "tomorrow's ")),
)


def _is_certain_verb(word: str) -> bool:
    return is_finite(word) and not is_base(word) and word not in AUXILIARIES


def _embedded(sentence: Sentence) -> str | None:
    """The clause that a direct question becomes behind "tell me"; None where its subject is not certain."""
    who = _WHO_DOES.match(sentence.body)
    if _IS_THERE.match(sentence.body) or (who is not None and _is_certain_verb(who["verb"])):
        return sentence.body
    if _WHAT_IS.match(sentence.body) or (HOW_TO.slot(sentence.body) and not _MODAL_HOW.match(sentence.body)):
        return None
    wh = _WH_QUESTION.match(sentence.body)
    if wh is None and not (sentence.is_question and not ASK.slot(sentence.body)):
        return None
    found = wh or _YES_NO.match(sentence.body)
    if found is None or (wh is None and re.match(r"(?:can|could|would|will|do|did) you\b", sentence.body)):
        return None
    parts = split_question(found["aux"], found["rest"].split())
    if parts is None or re.match(r"how come\b", sentence.body):
        return None
    if wh is None and found["aux"].endswith("n't"):
        return None  # "isn't it late" asks for a yes; "whether it isn't late" does not
    clause = indirect(found["aux"], *parts)
    return clause and f"{found['wh'] if wh else 'if'} {clause}"


def _ask_indirectly(sentence: Sentence) -> Iterator[Sentence]:
    clause = _embedded(sentence)
    if clause is not None:
        yield from ASK.fill(sentence, clause)
        if _is_reason(clause):
            yield from EXPLAIN.fill(sentence, clause)


def _ask_directly(sentence: Sentence) -> Iterator[Sentence]:
    clause = ASK.slot(sentence.body) or EXPLAIN.slot(sentence.body)
    found = _CLAUSE.match(clause) if clause else None
    if found is None or clause is None or clause.startswith(("how to ", "what to ", "where to ")):
        return
    wh, rest = found["wh"], found["rest"]
    if wh in ("what", "who") and _is_certain_verb(rest.split()[0]):
        yield sentence.say(clause, asks=True)
        return
    if wh not in ("if", "whether") and split_clause(rest.split()) is None:
        noun, _, after = rest.partition(" ")  # "what time my flight leaves"
        wh, rest = f"{wh} {noun}", after
    question = direct(rest)
    if question is not None:
        yield sentence.say(question if wh in ("if", "whether") else f"{wh} {question}", asks=True)


def _change_frame(sentence: Sentence) -> Iterator[Sentence]:
    yield from ASK.rewrite(sentence)
    yield from EXPLAIN.rewrite(sentence)
    clause = ASK.slot(sentence.body)
    if clause and clause.startswith(("if ", "whether ")):
        first, _, rest = clause.partition(" ")
        other = {"if": "whether", "whether": "if"}[first]
        yield sentence.say(sentence.body.replace(clause, f"{other} {rest}"))


def _name_thing(sentence: Sentence) -> Iterator[Sentence]:
    found = _WHAT_IS.match(sentence.body)
    if found is not None:
        if not _FIXED.match(found["thing"]) and not _UNFINISHED.match(found["thing"]):
            yield from _THING.fill(sentence, found["thing"])
        return
    thing = _THING.slot(sentence.body)
    if thing is not None:
        if is_noun_phrase(thing) and not thing.endswith("s") and not sentence.body.startswith(("give", "can you give")):
            yield sentence.say(f"what is {thing}", asks=True)
        yield from _THING.fill(sentence, thing)


ASKING: tuple[Rule, ...] = (
    sentence_rule("indirect_question", _ask_indirectly),
    sentence_rule("direct_question", _ask_directly),
    sentence_rule("question_frame", _change_frame),
    sentence_rule("what_is", _name_thing),
)
