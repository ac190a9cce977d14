"""Where the subject of a question or of a clause ends, found without a parser; None where that is not certain."""

from collections.abc import Sequence

from fewshot.augment.syntax.verbs import (
    base_of_participle,
    base_of_past,
    base_of_third,
    is_base,
    is_finite,
    past,
    third,
)
from fewshot.augment.syntax.words import (
    ADJECTIVES,
    ADVERBS,
    AUXILIARIES,
    BE,
    CONJUNCTIONS,
    DETERMINERS,
    MODALS,
    NEGATED,
    PREPOSITIONS,
    PRONOUNS,
    TIME_WORDS,
    WH_WORDS,
    is_plural,
    vocabulary,
)

_DO = frozenset(["do", "does", "did", "don't", "doesn't", "didn't"])
_STOPS = (PREPOSITIONS - {"up"}) | CONJUNCTIONS | PRONOUNS | WH_WORDS | AUXILIARIES | frozenset({"that", "to", "which"})
_LONGEST = 6


def split_question(auxiliary: str, words: Sequence[str]) -> tuple[str, str] | None:
    """Subject and rest of the words that follow the auxiliary of a question.

    Example:
        >>> split_question("does", "my credit card expire soon".split())
        ('my credit card', 'expire soon')
        >>> split_question("is", "the limit of my card raised".split()) is None
        True
    """
    if not words:
        return None
    if words[0] in PRONOUNS or (words[0] in ("this", "that") and _is_predicate(auxiliary, words, 1)):
        return words[0], " ".join(words[1:])
    if words[0] not in DETERMINERS:
        return None
    for end in range(2, min(len(words), _LONGEST + 1)):
        if _is_predicate(auxiliary, words, end):
            return " ".join(words[:end]), " ".join(words[end:])
        if words[end] in _STOPS:
            return None
    whole = len(words) <= _LONGEST and len(words) > 1 and auxiliary in BE
    return (" ".join(words), "") if whole and not _STOPS & set(words[1:]) else None


def split_clause(words: Sequence[str]) -> tuple[str, str, str] | None:
    """Subject, verb and rest of a clause.

    Example:
        >>> split_clause("my top up failed yesterday".split())
        ('my top up', 'failed', 'yesterday')
    """
    if len(words) > 1 and words[0] in PRONOUNS:
        return words[0], words[1], " ".join(words[2:])
    if not words or words[0] not in DETERMINERS:
        return None
    for end in range(2, min(len(words), _LONGEST + 1)):
        word = words[end]
        if word in AUXILIARIES or (is_finite(word) and not is_base(word)):
            return " ".join(words[:end]), word, " ".join(words[end + 1 :])
        if word in _STOPS:
            return None
    return None


def indirect(auxiliary: str, subject: str, rest: str) -> str | None:
    """A question's words in the order of a statement.

    Example:
        >>> indirect("did", "my top up", "fail today"), indirect("is", "my card", "late"), indirect("do", "I", "pay")
        ('my top up failed today', 'my card is late', 'I pay')
    """
    if auxiliary not in _DO or auxiliary.endswith("n't"):
        return f"{subject} {auxiliary} {rest}".strip()
    words = rest.split()
    first = next((place for place, word in enumerate(words) if word not in ADVERBS - {"not"}), len(words))
    if first == len(words) or not is_base(words[first]):
        return None
    verb = words[first]
    if auxiliary != "do":
        if verb == "be":
            return None
        words[first] = past(verb) if auxiliary == "did" else third(verb)
    return f"{subject} {' '.join(words)}"


def direct(clause: str) -> str | None:
    """A clause in the order of a question: auxiliary first.

    Example:
        >>> direct("my top up failed today"), direct("my card is late"), direct("I pay"), direct("she pays")
        ('did my top up fail today', 'is my card late', 'do I pay', 'does she pay')
    """
    parts = split_clause(clause.split())
    if parts is None:
        return None
    subject, verb, rest = parts
    has_object = verb in ("have", "has", "had") and base_of_participle((*rest.split(), "")[0]) is None
    if verb in AUXILIARIES and not has_object:
        return f"{verb} {subject} {rest}".strip() if rest or verb in BE else None
    if is_base(verb) and subject in ("I", "you", "we", "they"):
        return f"do {subject} {verb} {rest}".strip()
    if base := base_of_past(verb):
        return f"did {subject} {base} {rest}".strip()
    if (base := base_of_third(verb)) and not is_plural(subject):
        return f"does {subject} {base} {rest}".strip()
    return None


def is_noun_phrase(phrase: str) -> bool:
    """Whether this is certainly a noun phrase: a determiner, then words without verb or joint.

    Example:
        >>> is_noun_phrase("my last paycheck"), is_noun_phrase("the card I ordered")
        (True, False)
    """
    words = phrase.split()
    return 2 <= len(words) <= _LONGEST and words[0] in DETERMINERS and not _STOPS & set(words[1:])


def _is_predicate(auxiliary: str, words: Sequence[str], place: int) -> bool:
    word = (*words, "")[place]
    after = (*words, "", "")[place + 1]
    full = NEGATED.get(auxiliary, auxiliary).split()[0]
    if not word:
        return False
    if word in ADVERBS:
        return True
    if full in _DO or full in MODALS:
        if word in _OFTEN_NOUNS and any(is_base(later) for later in _until_stop(words[place + 1 :])):
            return False
        return is_base(word) and not is_base(after)
    if full in ("have", "has", "had"):
        return word == "been" or base_of_participle(word) is not None
    if word in ADJECTIVES:
        return after == "" or (after not in ADJECTIVES and (after in _STOPS or after in TIME_WORDS | ADVERBS))
    return word.endswith("ing") or base_of_participle(word) is not None or word in _PLACES


def _until_stop(words: Sequence[str]) -> Sequence[str]:
    return words[: next((place for place, word in enumerate(words) if word in _STOPS), 3)][:3]


# "the credit card will expire": here a noun, though a verb elsewhere.
_OFTEN_NOUNS = vocabulary(
    """bank book cash change charge check claim credit debit deposit exchange order pin print process top
    transfer use wire"""
)
_PLACES = frozenset(["in", "on", "at", "a", "an", "the", "my", "showing"])
