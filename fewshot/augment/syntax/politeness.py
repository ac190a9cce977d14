"""What surrounds a text and says nothing of its matter: a greeting, thanks, "please", "I have a problem: …"."""

import re
from collections.abc import Iterator
from dataclasses import replace

from fewshot.augment.syntax.reading import Sentence, Text
from fewshot.augment.syntax.rule import Rule, sentence_rule

_POLITE = re.compile(r"\b(?:please|pls|thanks|thank|hi|hello|hey|excuse me|help|good (?:morning|day|evening))\b", re.I)
_GREETING = re.compile(r"\b(?:hi|hello|hey|excuse me|good (?:morning|day|evening)|thank you|thanks)\b", re.IGNORECASE)
_THANKS = re.compile(r"\b(?:thanks|thank|thx)\b", re.IGNORECASE)
_PLEASED = re.compile(r"\b(?:please|pls)\b", re.IGNORECASE)
_ASKS_SOMEBODY = re.compile(r"(?P<before>(?:can|could|would|will) you) (?!be |happen |please )(?P<after>.+)$")
_TELLS_SOMEBODY = re.compile(r"(?:tell|show|give|let|help|explain) |I (?:need|want|would like) you to ")
_TROUBLE = re.compile(
    r"\b(?:\w+n't|not|cannot|never|failed|fails|declined|denied|rejected|refused|stolen|stole|lost|broken|blocked|locked"
    r"|wrong|incorrect|charged|overcharged|missing|pending|stuck|reverted|returned|cancelled|expired|frozen|extra"
    r"|without my|dont|didnt|doesnt|cant|isnt|wasnt|hasnt|havent|fraudulent\w*|suspicious)\b"
)
_TROUBLE_OPENINGS = (
    "I have a problem: ",
    "I have an issue: ",
    "I need help: ",
    "I am having trouble: ",
    "I am contacting you because ",
    "I am writing because ",
    "it seems that ",
    "it looks like ",
    "the problem is that ",
    "the issue is that ",
)
_OPENINGS = ("just to let you know, ", "for your information, ")
_FRAMED = re.compile(
    r"I(?: need| want| would| wish| wonder|'d| was (?:wondering|hoping)| am (?:wondering|looking|trying))\b"
)
_WEIGHTY = 4  # words: shorter texts would be more greeting than matter


def _is_weighty(text: Text) -> bool:
    return sum(len(sentence.words) for sentence in text.sentences) >= _WEIGHTY


def _says(pattern: re.Pattern[str], text: Text) -> bool:
    return any(pattern.search(f"{sentence.head}{sentence.body}{sentence.tail}") for sentence in text.sentences)


def _greet(text: Text) -> Iterator[Text]:
    first = text.sentences[0]
    if first.head or _says(_GREETING, text) or not _is_weighty(text):
        return
    for greeting in ("hello, ", "hi, ", "excuse me, "):
        yield text.with_sentence(0, replace(first, head=greeting))


def _drop_greeting(text: Text) -> Iterator[Text]:
    first = text.sentences[0]
    if re.match(r"(?:hi|hello|hey|excuse me|ok|okay|so|well)\b", first.head) and _is_weighty(text):
        yield text.with_sentence(0, replace(first, head=""))


def _thank(text: Text) -> Iterator[Text]:
    last = text.sentences[-1]
    if last.tail or _says(_THANKS, text) or not _is_weighty(text):
        return
    if last.mark in ("", "."):
        for thanks in (", thanks", ", thank you"):
            yield text.with_sentence(len(text.sentences) - 1, replace(last, tail=thanks))
    if last.mark in (".", "?", "!"):
        for thanks in ("thanks", "thank you"):
            yield replace(text, sentences=(*text.sentences, Sentence(thanks, ".")))


def _please(sentence: Sentence) -> Iterator[Sentence]:
    if _PLEASED.search(f"{sentence.head} {sentence.body}"):
        return
    asks = _ASKS_SOMEBODY.match(sentence.body)
    if sentence.tail:
        if _PLEASED.search(sentence.tail):
            yield replace(sentence, tail="")
            if sentence.is_request:
                yield replace(sentence, tail="", body=f"please {sentence.body}")
            elif asks:
                yield replace(sentence, tail="", body=f"{asks['before']} please {asks['after']}")
        return
    if asks:
        yield sentence.say(f"{asks['before']} please {asks['after']}")
    if sentence.is_request or _TELLS_SOMEBODY.match(sentence.body):
        if not sentence.body.startswith("I "):
            yield sentence.say(f"please {sentence.body}")
    elif not asks:
        return
    if sentence.mark != ",":
        yield replace(sentence, tail=", please")
        yield replace(sentence, tail=" please")


def _open(text: Text) -> Iterator[Text]:
    first = text.sentences[0]
    if not first.is_statement or first.head or _POLITE.search(first.body) or first.mark == ",":
        return
    if _FRAMED.match(first.body) or first.body.startswith(
        ("I have a problem", "I have an issue", "it seems", "it looks")
    ):
        return
    in_trouble = any(_TROUBLE.search(sentence.body) for sentence in text.sentences if sentence.is_statement)
    for opening in _TROUBLE_OPENINGS if in_trouble else _OPENINGS:
        if opening.startswith("it ") and first.body.startswith("I"):
            continue  # one does not seem to oneself to have done something
        yield text.with_sentence(0, replace(first, body=opening + first.body))


def _close(text: Text) -> Iterator[Text]:
    last = text.sentences[-1]
    in_trouble = last.is_statement and _TROUBLE.search(last.body) and not _FRAMED.match(last.body)
    if not in_trouble or last.tail or _says(_POLITE, text) or any(sentence.is_question for sentence in text.sentences):
        return
    end = len(text.sentences) - 1
    yield text.with_sentence(end, replace(last, tail=", can you help", mark=last.mark and "?"))
    yield text.with_sentence(end, replace(last, tail=", please help"))
    if last.mark:
        for closing in ("can you help me", "could you look into this", "what can be done about this"):
            yield replace(text, sentences=(*text.sentences, Sentence(closing, "?")))


POLITENESS: tuple[Rule, ...] = (
    Rule("greeting", _greet, is_dressing=True),
    Rule("no_greeting", _drop_greeting),
    Rule("thanks", _thank, is_dressing=True),
    sentence_rule("please", _please),
    Rule("opening", _open),
    Rule("closing", _close),
)
