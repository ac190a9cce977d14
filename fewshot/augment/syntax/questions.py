"""Questions about a way, a possibility or a reason, and the words that ask."""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.frames import Family
from fewshot.augment.syntax.reading import Sentence
from fewshot.augment.syntax.rule import Rule, body_rule, sentence_rule, swaps
from fewshot.augment.syntax.subjects import direct, indirect, split_question
from fewshot.augment.syntax.verbs import base_of_gerund, gerund, is_base
from fewshot.augment.syntax.words import AUXILIARIES, one_of


def begins_with_verb(words: str) -> bool:
    """Whether the words can follow "to": they begin with the infinitive of a listed verb."""
    return is_base(words.split()[0])


def _names_action(words: str) -> bool:
    # "how do I know if …", "how can I tell whether …" do not ask for a way to do something.
    return begins_with_verb(words) and not re.match(r"(?:know|tell|think|feel|get to know|be)\b(?! me)", words)


HOW_TO = Family(
    (
        "how do I {}?",
        "how can I {}?",
        "how to {}?",
        "how would I {}?",
        "what is the way to {}?",
        "what do I need to do to {}?",
        "what do I have to do to {}?",
        "what steps do I take to {}?",
        "can you tell me how to {}?",
        "can you show me how to {}?",
        "can you explain how to {}?",
        "could you tell me how I can {}?",
        "tell me how to {}",
        "please tell me how to {}",
        "please explain how to {}",
        "please show me how to {}",
        "I would like to know how to {}",
        "I want to know how to {}",
        "I need to know how I can {}",
        "do you know how to {}?",
        "do you know how I can {}?",
    ),
    (
        "how could I {}?", "how should I {}?", "how do you {}?", "how can you {}?", "how does one {}?", "how do we {}?",
        "how can we {}?", "what is the best way to {}?", "what's the easiest way to {}?", "show me how to {}",
        "explain how to {}", "I'd like to know how to {}", "I'd like to know how I can {}", "tell me how I can {}",
        "could you tell me how to {}?", "I need to know how to {}", "what should I do to {}?", "what must I do to {}?",
        "how am I able to {}?", "how is it possible to {}?",
    ),
    _names_action,
)  # fmt: skip
POSSIBLE = Family(
    (
        "can I {}?",
        "could I {}?",
        "am I able to {}?",
        "is it possible to {}?",
        "is it possible for me to {}?",
        "would it be possible to {}?",
        "is there a way to {}?",
        "is there any way to {}?",
        "is there a way for me to {}?",
        "is there any way I can {}?",
        "can you tell me if I can {}?",
        "I would like to know if I can {}",
        "I want to know if it is possible to {}",
    ),
    (
        "may I {}?", "am I allowed to {}?", "is there a way I can {}?", "is there a way that I can {}?",
        "is there any way for me to {}?", "would I be able to {}?", "will I be able to {}?", "can i please {}?",
        "I wonder if it is possible to {}", "I wonder if it would be possible to {}", "I'd like to know if I can {}",
    ),
    begins_with_verb,
)  # fmt: skip
_THEIR_POSSIBLE = re.compile(r"(?:can|could) (?P<rest>(?:my|the|our|someone|somebody|he|she|they) ?.+)$")
_REASON = re.compile(
    r"(?P<frame>why|how come|what is the reason why|what is the reason that|what's the reason|for what reason)"
    r" (?P<rest>.+)$"
)
_AUXILIARY = one_of(AUXILIARIES)
_COUNTED = one_of(
    [
        "kind",
        "kinds",
        "type",
        "types",
        "sort",
        "countries",
        "fees",
        "cards",
        "card",
        "bank",
        "benefits",
        "currencies",
        "date",
        "day",
        "atms",
        "ATMs",
        "documents",
    ]
)
_WH_PHRASES = (
    (r"how long (?=(?:does|do|did|will|would|should|must) (?:it|I|we|this|the)\b)", "how much time "),
    (r"how much time (?=(?:does|do|did|will|would|until|till)\b)", "how long "),
    ("what time", "at what time"),
    ("at what time", "when"),
    (rf"what (?={_COUNTED}\b)", "which "),
    (rf"which (?={_COUNTED}\b)", "what "),
    (r"how soon (?=(?:will|can|could|do|does|would)\b)", "how quickly "),
    (r"how quickly (?=(?:will|can|could|do|does|would)\b)", "how soon "),
)


def _their_possibility(sentence: Sentence) -> Iterator[Sentence]:
    found = _THEIR_POSSIBLE.match(sentence.body)
    parts = split_question("can", found["rest"].split()) if found and sentence.is_question else None
    if parts is None or not begins_with_verb(parts[1] or "-"):
        return
    who = {"he": "him", "she": "her", "they": "them"}.get(parts[0], parts[0])
    for frame in ("is it possible for {} to {}", "is there a way for {} to {}", "would it be possible for {} to {}"):
        yield sentence.say(frame.format(who, parts[1]), asks=True)


def _ask_reason(sentence: Sentence) -> Iterator[Sentence]:
    found = _REASON.match(sentence.body)
    if found is None:
        return
    if found["frame"] in ("why", "for what reason"):
        auxiliary, _, rest = found["rest"].partition(" ")
        parts = split_question(auxiliary, rest.split()) if auxiliary in AUXILIARIES else None
        clause, question = parts and indirect(auxiliary, *parts), found["rest"]
        if parts is None:
            return
    else:
        clause, question = found["rest"], direct(found["rest"])
    if clause:
        for frame in ("how come", "what is the reason that", "what is the reason why"):
            if found["frame"] != frame:
                yield sentence.say(f"{frame} {clause}", asks=True)
    if question and found["frame"] != "why":
        yield sentence.say(f"why {question}", asks=True)
    if question and found["frame"] != "for what reason":
        yield sentence.say(f"for what reason {question}", asks=True)


def _go_about(sentence: Sentence) -> Iterator[Sentence]:
    action = HOW_TO.slot(sentence.body)
    if action is None:
        return
    verb, _, rest = action.partition(" ")
    if rest.startswith("about ") and verb == "go":
        doing, _, behind = rest.removeprefix("about ").partition(" ")
        base = base_of_gerund(doing)
        if base is not None:
            yield from HOW_TO.fill(sentence, f"{base} {behind}".strip())
        return
    doing = f"{gerund(verb)} {rest}".strip()
    yield sentence.say(f"how do I go about {doing}", asks=True)
    yield sentence.say(f"how would I go about {doing}", asks=True)


QUESTIONS: tuple[Rule, ...] = (
    sentence_rule("how_to", HOW_TO.rewrite),
    sentence_rule("go_about", _go_about),
    sentence_rule("possibility", POSSIBLE.rewrite),
    sentence_rule("possibility_of_others", _their_possibility),
    sentence_rule("reason", _ask_reason),
    body_rule("wh_phrase", swaps(_WH_PHRASES)),
)
