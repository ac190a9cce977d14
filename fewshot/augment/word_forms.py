"""The form that words take where they are put: capitals, number, and the article before them."""

import re

_LINKS = frozenset(["a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"])
_VOWEL_SOUND = re.compile(r"[aeio]|u(?!ni|se|sa|su|ti|ro)|hour|honest|honou?r|heir", re.IGNORECASE)
_CONSONANT_SOUND = re.compile(r"one\b|once\b|eu|ew", re.IGNORECASE)
_SPELLED_WITH_VOWEL = frozenset("AEFHILMNORSX")  # "an MRI": the name of the letter begins with a vowel
_LONGEST_SPELLED = 5  # letters; longer words in capitals are words
_SENTENCE_START = re.compile(r"(^|[.?!])[\s\"'(“‘]*$")
_ARTICLE = re.compile(r"\b(an?)(\s+)$", re.IGNORECASE)


def in_style_of(text: str, start: int, end: int, written: str, replacement: str) -> str:
    """A replacement in the capitals of the place of a text from `start` to before `end`.

    The words that stand there, `written`, and the replacement come in the capitals that they have by themselves."""
    place = text[start:end]
    if text.isupper() and (place != written or start > 0 or end < len(text)):
        return replacement.upper()
    if text.islower():
        return " ".join(word if _is_abbreviation(word) else word.lower() for word in replacement.split(" "))
    words = [word for word in place.split() if word not in _LINKS and word != "I"]
    if place != written and len(words) > 1 and all(word[0].isupper() for word in words):
        return " ".join(word if word in _LINKS else _capitalised(word) for word in replacement.split(" "))
    opens = place[0].isupper() and _SENTENCE_START.search(text[:start]) is not None
    named = place[0].isupper() and written[0].islower() and place[1:2].islower()
    return _capitalised(replacement) if opens or named else replacement


def in_case_of(old: str, new: str) -> str:
    """A word written as the one it replaces: ALL CAPS, Capitalised, or as it comes."""
    return new.upper() if _is_abbreviation(old) else _capitalised(new) if old[0].isupper() else new


def singulars(word: str) -> list[str]:
    """What a case-folded word may be the plural (or the third person) of; the likeliest first."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return []
    found = [word[:-1]]
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        found.append(word[:-2])
    if word.endswith("ies") and len(word) > 4:
        found.insert(0, word[:-3] + "y")
    return found


def plural(term: str) -> str | None:
    """The regular plural of a term's last word, or None where that would be a guess."""
    *before, last = term.split(" ")
    if not last.isalpha() or len(last) < 3 or last.endswith("s") or not last.islower() or _LINKS & set(before):
        return None
    if last.endswith(("x", "z", "ch", "sh")):
        return term + "es"
    return term[:-1] + "ies" if last[-1] == "y" and last[-2] not in "aeiou" else term + "s"


def with_article(before: str, old: str, new: str) -> str:
    """The text before a replacement, its last word turned from "a" to "an", or back, if the new words ask for it."""
    article = _ARTICLE.search(before)
    if article is None or _begins_with_vowel_sound(old) == _begins_with_vowel_sound(new):
        return before
    fitting = article[1][0] + ("n" if _begins_with_vowel_sound(new) else "")
    return before[: article.start()] + (fitting.upper() if article[1] == "AN" else fitting) + article[2]


def _begins_with_vowel_sound(words: str) -> bool:
    first = words.split(" ")[0]
    if _is_abbreviation(first) and len(first) <= _LONGEST_SPELLED:
        return first[0] in _SPELLED_WITH_VOWEL
    return _VOWEL_SOUND.match(first) is not None and _CONSONANT_SOUND.match(first) is None


def _is_abbreviation(word: str) -> bool:
    return len(word) > 1 and word.isupper()


def _capitalised(word: str) -> str:
    return word[0].upper() + word[1:]
