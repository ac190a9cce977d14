"""Word pieces of texts: a BERT tokenizer reads each distinct chunk between blanks once.

    pieces(a + " " + b) = pieces(a) + pieces(b)

BERT's normaliser works character by character or within a run of combining marks, and its rules split at blanks before
anything else, so a chunk has the same pieces wherever it stands. Texts repeat their chunks: that is several times as
fast as the tokenizer itself.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from fewshot.encoders.texts import TOKENIZING

_BLANKS = re.compile("[ \t\n\r]+")  # among all that `str.split` splits at, control characters are removed by BERT
_MAX_CHUNKS = 2**17  # that are remembered, some 25 MB
_MAX_CHARACTERS = 40  # of a chunk that is remembered


class WordPieces:
    """The ids that a tokenizer of the `tokenizers` library gives, without special tokens and never cut.

    Args:
        tokenizer: see `of`.
        special: ids before and behind those of a text.
    """

    def __init__(self, tokenizer: Any, special: tuple[int, int]):
        self._tokenizer, self.special = tokenizer, special
        self._known: dict[str, list[int]] = {}

    @classmethod
    def of(cls, tokenizer: Any) -> "WordPieces | None":
        """For a BERT tokenizer that puts one special token on either side of a text; None for any other."""
        if not getattr(tokenizer, "is_fast", False):
            return None
        content = json.loads(tokenizer.backend_tokenizer.to_str())
        parts = [(content[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
        across = any(token["single_word"] or _BLANKS.search(token["content"]) for token in content["added_tokens"])
        if parts != ["BertNormalizer", "BertPreTokenizer", "WordPiece"] or across:
            return None
        special, letter = tokenizer("")["input_ids"], tokenizer("a")["input_ids"]
        if len(special) != 2 or len(letter) != 3 or letter[::2] != special:
            return None
        return cls(tokenizer, (special[0], special[1]))

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        chunked = [text.split() if text.isprintable() else _BLANKS.split(text) for text in texts]
        distinct = {chunk for chunks in chunked for chunk in chunks}
        remembered = self._known  # never shrinks, so that other threads may use it as well
        ids = {chunk: remembered[chunk] for chunk in distinct if chunk in remembered}
        new = list(distinct.difference(ids))
        if new:
            with TOKENIZING:
                encoded = self._tokenizer(
                    new,
                    add_special_tokens=False,
                    truncation=False,
                    return_attention_mask=False,
                    return_token_type_ids=False,
                    verbose=False,
                )
            new_ids = dict(zip(new, encoded["input_ids"], strict=True))
            ids |= new_ids
            if len(remembered) + len(new) > _MAX_CHUNKS:
                self._known = remembered = {}
            short = [chunk for chunk in new if len(chunk) <= _MAX_CHARACTERS]
            remembered.update((chunk, new_ids[chunk]) for chunk in short[:_MAX_CHUNKS])
        rows: list[list[int]] = []
        for chunks in chunked:
            row: list[int] = []
            for chunk in chunks:
                row += ids[chunk]
            rows.append(row)
        return rows
