"""Which pieces of a tokenizer's vocabulary are whole words."""

from typing import Any

_BEFORE = ("Ġ", "▁")  # a word begins: byte-level BPE, SentencePiece
_AFTER = "</w>"  # a word ends: older BPE
_INSIDE = "##"  # WordPiece
_COMMON = 0.05  # share of the vocabulary from which on a sign is the tokenizer's way of marking words


def whole_words(tokenizer: Any) -> dict[int, str]:
    """Token id → word, for the pieces that stand alone as a word and consist of letters.

    Args:
        tokenizer: of transformers.
    """
    special = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    common = _COMMON * len(pieces)
    begins = next((sign for sign in _BEFORE if sum(piece.startswith(sign) for piece in pieces) > common), "")
    ends = _AFTER if sum(piece.endswith(_AFTER) for piece in pieces) > common else ""
    words = {}
    for number, piece in enumerate(pieces):
        if number in special or piece.startswith(_INSIDE) or not (piece.startswith(begins) and piece.endswith(ends)):
            continue
        # Bytes of letters outside ASCII have their own signs in byte-level BPE.
        word = tokenizer.convert_tokens_to_string([piece]).strip() if begins == "Ġ" else piece.removesuffix(ends)
        word = word.removeprefix("▁")
        if word.isalpha():
            words[number] = word
    return words


def in_case_of(old: str, new: str) -> str:
    """A word written as the one it replaces: ALL CAPS, Capitalised, or as it comes.

    Example:
        >>> in_case_of("Card", "account"), in_case_of("PIN", "code"), in_case_of("city", "Paris")
        ('Account', 'CODE', 'Paris')
    """
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new
