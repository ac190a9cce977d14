"""Texts before they are tokens: checked, cut to what a tokenizer should see, in batches; without importing torch."""

import threading
from collections.abc import Iterable, Sequence

# Held while a tokenizer works: where it cuts is part of its state, so that threads would cut each other's texts.
TOKENIZING = threading.Lock()
CHARACTERS_PER_TOKEN = 64  # texts are cut there first, so that a tokenizer never reads megabytes


def checked_texts(texts: Iterable[str]) -> list[str]:
    """A list, an array or a column of texts as a list; TypeError for a single text, or an item that is no text."""
    if isinstance(texts, str):
        raise TypeError("encode takes a sequence of texts; got one text. Put it into a list.")
    texts = list(texts)
    other = next((number for number, text in enumerate(texts) if not isinstance(text, str)), None)
    if other is not None:
        got = f"{texts[other]!r}, a {type(texts[other]).__name__}"
        raise TypeError(f"encode takes texts; number {other} is {got}. Leave it out, or put a text in its place.")
    return texts


def without_surrogates(text: str) -> str:
    """A text with a question mark for each half of a surrogate pair, on which tokenizers fail."""
    return text.encode("utf-8", "replace").decode("utf-8")


def by_tokens(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Batches of at most `budget` tokens with padding, as indices of texts with these `lengths`, each once.

    Longest first: if a batch does not fit into memory, that shows at once. A text longer than the budget stands alone.

    Example:
        >>> by_tokens([3, 9, 4, 2], budget=10)
        [[1], [2, 0], [3]]
    """
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if room == 0:
            batches.append([])
            room = max(1, budget // max(1, lengths[index]))
        batches[-1].append(index)
        room -= 1
    return batches
