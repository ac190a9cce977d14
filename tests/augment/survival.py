"""What of a text must survive when it is said differently: content words, numbers, negations."""

import re
from collections import Counter

from fewshot.augment.syntax.verbs import base_of_gerund, base_of_participle, base_of_past, base_of_third
from fewshot.augment.syntax.words import FUNCTION_WORDS, vocabulary

# Words that only frame what is asked, or that one form has and another has not.
FRAME_WORDS = vocabulary(
    """know tell let ask show explain understand find wonder wondering wondered check give get got need needs want
    wants wanna would like likes wish looking trying hoping hope help assistance some way ways possible able
    allowed reason come steps step take best easiest go about please pls thanks thank hi hello hey okay ok well so
    cannot could gonna gotta going gimme lemme thx asap soon quickly much long many number time what which kindly
    due caused by because from resulting still yet must have has had having do does did doing am im i'm is me my
    to for of the that then us i excuse happen don't dont love till until everyone person people mind"""
)
NEGATIONS = re.compile(
    r"\b(?:not|no|never|nobody|none|without|cannot)\b|n't\b|\b(?:dont|didnt|doesnt|cant|isnt|wasnt|hasnt)\b"
)
NUMBERS = re.compile(r"\d+(?:[.,]\d+)*|\b(?:one|two|three|four|five|six|ten|hundred|thousand|first|second|third)\b")


def content(text: str) -> set[str]:
    """Stems of the words that carry the matter."""
    small = FUNCTION_WORDS | FRAME_WORDS
    words = (word for word in _words(text) if "n't" not in word and word not in small)
    return {_stem(word) for word in words} - small - {""}


def lost(source: str, made: str) -> set[str]:
    """Content words of the source that are not in what was made of it."""
    return content(source) - {_stem(word) for word in _words(made)}


def numbers(text: str) -> Counter[str]:
    """Numbers, in digits and in words."""
    return Counter(NUMBERS.findall(text.lower()))


def negations(text: str) -> int:
    """How often it says not."""
    return len(NEGATIONS.findall(text.lower().replace("’", "'")))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower().replace("’", "'").replace("-", " "))


def _stem(word: str) -> str:
    word = re.sub(r"'(?:s|m|re|ve|ll|d)?$", "", word)
    base = base_of_past(word) or base_of_participle(word) or base_of_third(word) or base_of_gerund(word)
    return base or (word.rstrip("s") if len(word) > 3 else word)
