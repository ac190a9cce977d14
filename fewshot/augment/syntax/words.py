"""The closed classes of English that the rules look for, and patterns made of them."""

import re
from collections.abc import Iterable


def vocabulary(words: str) -> frozenset[str]:
    """A set of words that are written with spaces between them."""
    return frozenset(words.split())


PRONOUNS = vocabulary("I you he she it we they there someone somebody anyone anybody everyone nobody")
DETERMINERS = vocabulary("my your his her its our their the a an this that these those some any another")
BE = vocabulary("is are was were am")
MODALS = vocabulary("will would can could should must may might")
NEGATED = {
    "isn't": "is not", "aren't": "are not", "wasn't": "was not", "weren't": "were not", "don't": "do not",
    "doesn't": "does not", "didn't": "did not", "haven't": "have not", "hasn't": "has not", "hadn't": "had not",
    "won't": "will not", "wouldn't": "would not", "can't": "can not", "couldn't": "could not",
    "shouldn't": "should not",
}  # fmt: skip
AUXILIARIES = BE | MODALS | vocabulary("do does did have has had cannot") | frozenset(NEGATED)
WH_WORDS = vocabulary("what when where which who whom whose why how")
PREPOSITIONS = vocabulary(
    """about above across after against along among around as at before behind below between by despite during
    except for from in inside into near of off on onto out outside over per since than through till to toward
    towards under until up upon using via with within without"""
)
CONJUNCTIONS = vocabulary("and or but so because if unless while although though whereas that nor")
ADVERBS = vocabulary(
    """not still so always already never just now ever even also only really very too yet again currently
    recently being suddenly automatically usually often soon here"""
)
TIME_WORDS = vocabulary("today yesterday tomorrow tonight earlier later last next ago twice once online")
# Predicates that follow a subject after "is": where a noun phrase ends.
ADJECTIVES = vocabulary(
    """able available bad better busy charged closed correct different down due enough expensive fast fine free
    full good high higher important incorrect invalid late limited long low lower missing necessary new old
    open pending possible ready required safe same short slow sure true unavailable urgent valid wrong gone
    stuck"""
)
FRONTERS = PRONOUNS | DETERMINERS
FUNCTION_WORDS = (
    PRONOUNS | DETERMINERS | AUXILIARIES | WH_WORDS | PREPOSITIONS | CONJUNCTIONS | ADVERBS
    | vocabulary("me him us them myself be been please not no yes hi hello help thanks mine who's")
)  # fmt: skip
OBJECT_CASE = {"I": "me", "he": "him", "she": "her", "we": "us", "they": "them"}
SUBJECT_CASE = {form: subject for subject, form in OBJECT_CASE.items() if form != "her"}


def one_of(words: Iterable[str]) -> str:
    """A pattern group that matches one of the words, longest first.

    Example:
        >>> one_of(["a", "an"])
        '(?:an|a)'
    """
    return f"(?:{'|'.join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))})"


def is_plural(phrase: str) -> bool:
    """Whether a noun phrase takes "are": by its determiner, a pronoun, or the ending of its last word.

    Example:
        >>> [is_plural(phrase) for phrase in ("my card", "my cards", "these", "the address", "I")]
        [False, True, True, False, False]
    """
    words = phrase.split()
    if words[0] in ("they", "we", "you", "these", "those") or " and " in phrase:
        return True
    last = words[-1].lower()
    return last.endswith("s") and not last.endswith(("ss", "us", "is", "news"))


def be_for(phrase: str, past: bool) -> str:
    """The form of "be" that goes with a subject.

    Example:
        >>> be_for("I", past=True), be_for("I", past=False), be_for("the fees", past=True)
        ('was', 'am', 'were')
    """
    if phrase == "I":
        return "was" if past else "am"
    return ("were" if past else "are") if is_plural(phrase) else ("was" if past else "is")
