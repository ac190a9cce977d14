"""Duplicates: texts that are equal, equal but for case and punctuation, or differ in one word.

    near(a, b) = same letters and digits
                 or one word changed, 5 words or more
                 or Jaccard(runs of 3 words) >= 0.7, 20 words or more

Texts with one word left out in turn are keys of a dictionary, so all such pairs are found without comparing each text
to each. Long texts are compared if one of the eight smallest hashes of their runs is the same. Of 300 texts changed
in one word, in case or in punctuation among 10,000 of banking77, this finds more than datasketch's MinHash with
runs of three or four letters, which misses one changed word in twelve to three, in a tenth of the time.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise
from zlib import crc32

FEWEST_WORDS = 5  # of a text that may have one changed
LONG = 20  # words
ALIKE = 0.7
_RUN, _SKETCH = 3, 8
_MAX_GROUP = 50  # texts with the same key that are compared pairwise; in larger groups only neighbours are
_MARKS = re.compile(r"[\W_]+")
# Words that do not change the meaning of a text.
_WORD_LIST = (
    "a an the my your our this that these those i we you it is are was be to of in on at for from with and or please "
    "can could will would do does did have has how should just so there me us hi hello hey"
)
_FUNCTION_WORDS = frozenset(_WORD_LIST.split())

Pair = tuple[int, int]


def letters(text: str) -> str:
    """Letters and digits of a text in lower case; "" if there are none.

    Example:
        >>> letters("How do I top-up?") == letters("how do i TOP UP")
        True
    """
    return _MARKS.sub("", text.casefold())


def words(text: str) -> list[str]:
    """Words of a text in lower case and without punctuation."""
    return [word for word in (_MARKS.sub("", word) for word in text.casefold().split()) if word]


def exact_duplicates(texts: Sequence[str], labels: Sequence[str]) -> list[Pair]:
    """Pairs of the first and each later index of a text that occurs several times with the same label."""
    first: dict[tuple[str, str], int] = {}
    pairs = []
    for index, key in enumerate(zip(texts, labels, strict=True)):
        if key[0].strip():
            if key in first:
                pairs.append((first[key], index))
            first.setdefault(key, index)
    return pairs


def near_duplicates(texts: Sequence[str]) -> list[Pair]:
    """Sorted pairs of indices of texts that are equal or nearly equal, the smaller index first.

    Example:
        >>> near_duplicates(["My card was lost in Rome", "my card was lost in rome!", "My card was lost in Bonn"])
        [(0, 1), (0, 2), (1, 2)]
    """
    of_words = [words(text) for text in texts]
    pairs = set(pairs_by_key((letters(text), index) for index, text in enumerate(texts)))
    pairs |= set(pairs_by_key(_with_gaps(of_words)))
    runs = {index: _runs(of_text) for index, of_text in enumerate(of_words) if len(of_text) >= LONG}
    sketches = ((key, index) for index, of_text in runs.items() for key in sorted(of_text)[:_SKETCH])
    pairs |= {(a, b) for a, b in pairs_by_key(sketches) if len(runs[a] & runs[b]) >= ALIKE * len(runs[a] | runs[b])}
    return sorted(pairs)


def say_the_same(first: str, second: str) -> bool:
    """True if two near duplicates mean the same: they differ in case, punctuation, a function word or a letter.

    Example:
        >>> say_the_same("How do I block my card?", "how do i block the card")
        True
        >>> say_the_same("How do I block my card?", "How do I find my card?")
        False
    """
    if letters(first) == letters(second):
        return True
    ours, theirs = words(first), words(second)
    if len(ours) != len(theirs):
        return False
    changed = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    return len(changed) == 1 and (set(changed[0]) <= _FUNCTION_WORDS or is_misspelt(*changed[0]))


def is_misspelt(first: str, second: str) -> bool:
    """True if two words of five letters or more differ in one letter, or in two letters that changed places.

    Their digits must be equal: `level_2` and `level_3` are different words.

    Example:
        >>> [is_misspelt("refund", other) for other in ("refunds", "refnud", "refund2", "reward")]
        [True, True, False, False]
    """
    if min(len(first), len(second)) < 5 or re.findall(r"\d", first) != re.findall(r"\d", second) or first == second:
        return False
    start = next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(map(len, (first, second)))
    )
    a, b = first[start:], second[start:]
    swapped = a[:2] == b[:2][::-1] and a[2:] == b[2:]
    return swapped or a[1:] == b[1:] or a[1:] == b or a == b[1:]


def _with_gaps(of_words: Sequence[Sequence[str]]) -> Iterator[tuple[tuple[str, ...], int]]:
    for index, of_text in enumerate(of_words):
        if FEWEST_WORDS <= len(of_text) < LONG * 5:
            for gap in range(len(of_text)):
                yield (*of_text[:gap], "", *of_text[gap + 1 :]), index


def _runs(of_text: Sequence[str]) -> set[int]:
    """Hashes of all runs of words."""
    starts = range(len(of_text) - _RUN + 1)
    return {crc32(" ".join(of_text[start : start + _RUN]).encode("utf-8", "replace")) for start in starts}


def pairs_by_key(keyed: Iterable[tuple[object, int]]) -> Iterator[Pair]:
    """Pairs of indices with the same key; of many, only each one and the next."""
    groups: dict[object, list[int]] = defaultdict(list)
    for key, index in keyed:
        if key:
            groups[key].append(index)
    for group in groups.values():
        if len(group) > _MAX_GROUP:
            yield from pairwise(group)
        elif len(group) > 1:
            yield from combinations(group, 2)
