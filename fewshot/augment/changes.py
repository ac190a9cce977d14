"""Changes of a text that keep its meaning, to test if a classifier's answer stays: typos, case, synonyms."""

import random
import re
from collections.abc import Callable, Sequence

from fewshot.augment.source import AugmentRequest
from fewshot.augment.synonym import Synonym
from fewshot.randomness import child_seed

_WORD = re.compile(r"[^\W\d_]{4,}")
_SHARE = 0.2  # of the words of four letters or more, that get a typo
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {row[i]: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in _KEYS for i in range(len(row))}


def with_typos(text: str, seed: int = 0) -> str:
    """The text with a typo in one word in five, at least in one: letters swapped, left out, doubled, or a key beside.

    Words of fewer than four letters and the first letter of a word stay as they are.

    Example:
        >>> with_typos("Where is my new card?")
        'Wheree is my new card?'
    """
    generator = random.Random(child_seed(seed, f"typos/{text}"))
    words = list(_WORD.finditer(text))
    chosen = generator.sample(words, min(len(words), max(1, round(_SHARE * len(words)))))
    for word in sorted(chosen, key=lambda word: -word.start()):
        text = text[: word.start()] + _with_typo(word[0], generator) + text[word.end() :]
    return text


def _with_typo(word: str, generator: random.Random) -> str:
    index = generator.randrange(1, len(word))
    before, letter, after = word[:index], word[index], word[index + 1 :]
    neighbour = generator.choice(_NEIGHBOURS.get(letter.lower(), letter))
    typos = [before + after, before + letter + letter + after, before + neighbour + after]
    if after and after[0] != letter:
        typos.append(before + after[0] + letter + after[1:])
    return generator.choice([typo for typo in typos if typo != word])


def _with_synonyms(texts: Sequence[str], seed: int) -> list[str]:
    """Each text with one term replaced by a synonym of the embedded lexicons; unchanged if it has none."""
    source = Synonym(("disease_ontology", "everyday"))
    proposals = source.propose(AugmentRequest(tuple(texts), max_new=1, seed=seed))
    return [new[0].text if new else text for text, new in zip(texts, proposals, strict=True)]


CHANGES: dict[str, Callable[[Sequence[str], int], list[str]]] = {
    "typos": lambda texts, seed: [with_typos(text, seed) for text in texts],
    "capitals": lambda texts, _: [text.upper() for text in texts],
    "small letters": lambda texts, _: [text.lower() for text in texts],
    "synonyms": _with_synonyms,
}
