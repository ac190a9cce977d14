"""Turned headings, stems and keys: how two medical terms are told to be the same.

The stemmer is Porter's. Source: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980.
"""

import re
import unicodedata

# ruff: noqa: SIM905  (lists of words read better as one string)
FUNCTION_WORDS = frozenset(
    "a an and as at but by due during for from in into is its no non nor not of on only or other s specified "
    "than that the their this to type unspecified upon use via was when which with within without".split()
)
NUMBER_WORDS = frozenset(
    "one two three four five six seven eight nine ten first second third fourth fifth sixth seventh eighth "
    "ninth tenth i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split()
)
LATERALITY = frozenset("left right bilateral unilateral".split())
ENCOUNTER_WORDS = frozenset("encounter initial subsequent sequela sequelae".split())
LEFT_OUT = FUNCTION_WORDS | NUMBER_WORDS | LATERALITY | ENCOUNTER_WORDS

# Porter's steps 2, 3 and 4: the longest suffix that fits is the one that is tried.
STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "abli": "able",
    "alli": "al", "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate",
    "alism": "al", "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive",
    "biliti": "ble",
}  # fmt: skip
STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
STEP_4 = dict.fromkeys(
    "al ance ence er ic able ible ant ement ment ent sion tion ou ism ate iti ous ive ize".split(), ""
)


def turned(heading: str) -> str:
    """Return an inverted heading in reading order: its parts, split at ", ", from last to first.

    A part that ends in a hyphen is the beginning of a chemical name and is joined without a space. A list
    ("Bites, Stings, and Burns") is no inversion and stays as it is.

    Example:
        >>> turned("Leukemia, Myeloid, Acute")
        'Acute Myeloid Leukemia'
    """
    parts = heading.split(", ")
    if parts[-1].startswith(("and ", "or ")):
        return heading
    return "".join(part if part.endswith("-") else part + " " for part in reversed(parts)).strip()


def words(text: str) -> list[str]:
    """Return the lower-case words of a text: runs of letters and digits, without accents and possessives."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return re.findall(r"[^\W_]+", re.sub(r"['’]s\b", "", plain))


def key(text: str) -> tuple[str, ...]:
    """Return the normalised key of a text: its stems, sorted, each once.

    Function words, numerals, laterality ("left") and encounter words ("initial") are left out.

    Example:
        >>> key("Bone Neoplasms") == key("Neoplasm of the bones, left")
        True
    """
    kept = (word for word in words(text) if not word.isdigit() and word not in LEFT_OUT)
    return tuple(sorted({stem(word) for word in kept}))


def jaccard(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Return the share of the stems of two keys, together, that both of them have."""
    together = set(one) | set(other)
    return len(set(one) & set(other)) / len(together) if together else 0.0


def stem(word: str) -> str:
    """Return Porter's stem of a lower-case word; words of one or two letters stay as they are.

    Example:
        >>> stem("relational"), stem("diseases")
        ('relat', 'diseas')
    """
    if len(word) <= 2:
        return word
    word = _without_plural(word)
    word = _without_past(word)
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    word = _replaced(word, STEP_2, above=0)
    word = _replaced(word, STEP_3, above=0)
    word = _replaced(word, STEP_4, above=1)
    return _without_final_e(word)


def _without_plural(word: str) -> str:
    for suffix, instead in (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")):
        if word.endswith(suffix):
            return word.removesuffix(suffix) + instead
    return word


def _without_past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        rest = word.removesuffix(suffix)
        if rest != word and _has_vowel(rest):
            return _mended(rest)
    return word


def _mended(word: str) -> str:
    """Give back the letter that "-ed" and "-ing" took ("siz" → "size"), or take a doubled one ("hopp")."""
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if len(word) > 1 and word[-1] == word[-2] and _pattern(word)[-1] == "c" and word[-1] not in "lsz":
        return word[:-1]
    return word + "e" if _measure(word) == 1 and _ends_short(word) else word


def _replaced(word: str, suffixes: dict[str, str], above: int) -> str:
    for suffix in sorted(suffixes, key=len, reverse=True):
        if word.endswith(suffix):
            # "-ion" goes only after s or t, which stay.
            kept = 1 if suffix in ("sion", "tion") and suffixes is STEP_4 else 0
            rest = word[: len(word) - len(suffix) + kept]
            return rest + suffixes[suffix] if _measure(rest) > above else word
    return word


def _without_final_e(word: str) -> str:
    if word.endswith("e"):
        rest = word[:-1]
        if _measure(rest) > 1 or (_measure(rest) == 1 and not _ends_short(rest)):
            word = rest
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word


def _pattern(word: str) -> str:
    """Return "v" for each vowel and "c" for each consonant; a y after a consonant is a vowel."""
    pattern = ""
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and pattern.endswith("c"))
        pattern += "v" if vowel else "c"
    return pattern


def _measure(word: str) -> int:
    return _pattern(word).count("vc")


def _has_vowel(word: str) -> bool:
    return "v" in _pattern(word)


def _ends_short(word: str) -> bool:
    return _pattern(word).endswith("cvc") and word[-1] not in "wxy"
