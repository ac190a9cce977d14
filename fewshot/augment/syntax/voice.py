"""Active and passive of simple clauses: "the bank declined my card" ↔ "my card was declined by the bank"."""

import re
from collections.abc import Iterator

from fewshot.augment.syntax.reading import Sentence
from fewshot.augment.syntax.rule import Rule, sentence_rule
from fewshot.augment.syntax.subjects import split_question
from fewshot.augment.syntax.verbs import base_of_participle, base_of_past, is_base, participle, past
from fewshot.augment.syntax.words import (
    ADVERBS,
    AUXILIARIES,
    DETERMINERS,
    OBJECT_CASE,
    PREPOSITIONS,
    SUBJECT_CASE,
    TIME_WORDS,
    WH_WORDS,
    be_for,
    is_plural,
    one_of,
    vocabulary,
)

# Verbs whose object stands well as a subject.
_PASSIVE = vocabulary(
    """accept activate add approve block book cancel cash charge check clear close complete credit debit decline
    delete deliver deny deposit disable fix flag freeze hack hold increase issue lock mail make overcharge
    pay post process reactivate reduce refund refuse register reject release remove replace reset return
    reverse review schedule send ship steal stop suspend swallow take transfer unblock unfreeze unlock update
    use validate verify waive withdraw withhold write build convert translate invite inform notify break
    change"""
)
_CRIMES = frozenset({"steal", "hack"})
_NAMELESS = vocabulary("they you someone somebody")
_DETERMINER = one_of(DETERMINERS - {"these", "those", "another"})
_NOUNS = rf"(?:{_DETERMINER}(?: [\w-]+){{1,4}}?)"
_SUBJECT = rf"(?P<subject>I|you|we|they|he|she|it|{_NOUNS})"
_AGENT = r"(?P<agent>(?:the|a|an)(?: [\w-]+){1,2}|my(?: [\w-]+){1,2}|someone|somebody|you|them|him)"
_PASSIVE_CLAUSE = re.compile(
    rf"{_SUBJECT}"
    r" (?P<aux>was not|were not|was|were|wasn't|weren't|is|are|am|has been|have been|had been|will be|got)"
    rf" (?P<verb>[a-z]+)(?P<rest>(?: .+?)??)"
    rf"(?: by {_AGENT}(?P<behind>(?: (?:in|on|at|for|with|because|when|yesterday|today)\b.*)?))?$"
)
_ACTIVE_CLAUSE = re.compile(
    rf"(?P<agent>they|you|someone|somebody|the [\w-]+(?: [\w-]+)??|my [\w-]+(?: [\w-]+)??)"
    rf" (?P<aux>has |have |will |did not |didn't )?(?P<verb>[a-z]+)"
    rf" (?P<object>me|us|him|them|it|{_NOUNS})(?P<rest>(?: .+)?)$"
)
_DID_THEY = re.compile(
    rf"(?P<wh>(?:why|when|where|how) )did (?P<agent>they|you|the [\w-]+(?: [\w-]+)??) (?P<verb>[a-z]+)"
    rf" (?P<object>me|us|him|them|it|{_NOUNS})(?P<rest>(?: .+)?)$"
)
_WAS_IT = re.compile(r"(?P<wh>(?:why|when|where|how) )(?P<aux>was|were|has|have) (?P<after>.+)$")
_END = PREPOSITIONS | TIME_WORDS | frozenset({"because", "when", "twice", "again", "this", "without"})
_NO_NOUNS = (
    AUXILIARIES
    | WH_WORDS
    | (PREPOSITIONS - {"up"})  # "my top up"
    | vocabulary("I you we they it and or that been be being more")
)
_OPEN = re.compile(r"\b(?:and|but|or|that|which|who|if)\b|[,;:]")


def _to_active(sentence: Sentence) -> Iterator[Sentence]:
    found = _PASSIVE_CLAUSE.match(sentence.body)
    if found is None or sentence.is_question or not _is_simple(found["subject"]) or _OPEN.search(found["rest"]):
        return
    verb = base_of_participle(found["verb"])
    if verb not in _PASSIVE or found["rest"].startswith(" to ") or " by " in found["rest"]:
        return
    agent = found["agent"] or ("someone" if verb in _CRIMES else "they")
    agent = SUBJECT_CASE.get(agent, agent)
    patient = OBJECT_CASE.get(found["subject"], found["subject"])
    doing = _active_verb(verb, found["aux"], agent)
    if doing is not None:
        rest = f"{found['rest']}{found['behind'] or ''}"
        yield sentence.say(f"{agent} {doing} {patient}{rest}")


def _active_verb(verb: str, aux: str, agent: str) -> str | None:
    many = is_plural(agent)
    if aux in ("was", "were", "got"):
        return past(verb)
    if aux in ("was not", "were not"):
        return f"did not {verb}"
    if aux in ("wasn't", "weren't"):
        return f"didn't {verb}"
    if aux in ("has been", "have been", "is", "are"):  # "is blocked" is what somebody has done
        return f"{'have' if many else 'has'} {participle(verb)}"
    if aux in ("had been", "will be"):
        return f"{aux.split()[0]} {participle(verb) if aux == 'had been' else verb}"
    return None


def _to_passive(sentence: Sentence) -> Iterator[Sentence]:
    found = _ACTIVE_CLAUSE.match(sentence.body)
    if found is None or sentence.is_question or not _is_simple(found["agent"]):
        return
    aux = (found["aux"] or "").strip()
    word = found["verb"]
    verb = base_of_participle(word) if aux in ("has", "have") else word if aux else base_of_past(word)
    if verb not in _PASSIVE or is_base(found["agent"].split()[-1]):
        return
    patient, rest = _object(found["object"], found["rest"])
    if patient is None or _OPEN.search(rest):
        return
    being = {
        "": be_for(patient, past=True),
        "did not": f"{be_for(patient, past=True)} not",
        "didn't": f"{be_for(patient, past=True)}n't",
        "will": "will be",
    }.get(aux, f"{'have' if is_plural(patient) or patient == 'I' else 'has'} been")
    yield sentence.say(f"{patient} {being} {participle(verb)}{_by(found['agent'], rest)}")


def _ask_passively(sentence: Sentence) -> Iterator[Sentence]:
    found = _DID_THEY.match(sentence.body)
    if found is None or found["verb"] not in _PASSIVE or not _is_simple(found["agent"]):
        return
    patient, rest = _object(found["object"], found["rest"])
    if patient is not None:
        was = be_for(patient, past=True)
        yield sentence.say(f"{found['wh']}{was} {patient} {participle(found['verb'])}{_by(found['agent'], rest)}")


def _ask_actively(sentence: Sentence) -> Iterator[Sentence]:
    found = _WAS_IT.match(sentence.body)
    parts = split_question(found["aux"], found["after"].split()) if found else None
    if found is None or parts is None or (found["aux"] in ("has", "have") and not parts[1].startswith("been ")):
        return
    word, _, rest = parts[1].removeprefix("been ").partition(" ")
    verb = base_of_participle(word)
    if verb not in _PASSIVE or " by " in f" {rest} " or rest.startswith("to "):
        return
    patient = OBJECT_CASE.get(parts[0], parts[0])
    for agent in ("they", "you") if verb not in _CRIMES else ("someone",):
        doing = f"did {agent} {verb}" if found["aux"] in ("was", "were") else f"have {agent} {participle(verb)}"
        if agent != "someone" or doing.startswith("did"):
            yield sentence.say(f"{found['wh']}{doing} {patient} {rest}".strip())


def _object(phrase: str, rest: str) -> tuple[str | None, str]:
    """The object as a subject, and what follows it; None where the object's end is not certain."""
    if phrase in SUBJECT_CASE or phrase == "it":
        return SUBJECT_CASE.get(phrase, phrase), rest
    words = f"{phrase}{rest}".split()
    end = next((place for place, word in enumerate(words) if place > 1 and word.lower() in _END), len(words))
    if end < len(words) and words[end] in ("up", "off", "out", "down"):
        if words[end - 1] != "top":
            return None, rest
        end += 1
    if words[end : end + 1] and words[end].lower() not in _END:
        return None, rest
    if end > 4 or not _is_simple(" ".join(words[:end])):
        return None, rest
    return " ".join(words[:end]), "".join(f" {word}" for word in words[end:])


def _is_simple(phrase: str) -> bool:
    words = phrase.split()
    return len(words) == 1 or (not _NO_NOUNS & set(words[1:]) and words[-1] not in ADVERBS)


def _by(agent: str, rest: str) -> str:
    return rest if agent in _NAMELESS else f" by {agent}{rest}"


VOICE: tuple[Rule, ...] = (
    sentence_rule("active", _to_active),
    sentence_rule("passive", _to_passive),
    sentence_rule("passive_question", _ask_passively),
    sentence_rule("active_question", _ask_actively),
)
