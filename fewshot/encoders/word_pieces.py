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

from tokenizers import Tokenizer

from fewshot.encoders.source import TOKENIZER_SHA256, bundled_folder, check_bundled

_BLANKS = re.compile("[ \t\n\r]+")  # among all that `str.split` splits at, control characters are removed by BERT
_MAX_CHUNKS = 2**17  # that are remembered, some 25 MB
_MAX_CHARACTERS = 40  # of a chunk that is remembered


class WordPieces:
    """The ids that a tokenizer of the `tokenizers` library gives, without special tokens and never cut.

    Args:
        tokenizer: that neither cuts nor pads.
        special: ids before and behind those of a text.
    """

    def __init__(self, tokenizer: Tokenizer, special: tuple[int, int]):
        self._tokenizer, self.special = tokenizer, special
        self._known: dict[str, list[int]] = {}

    @classmethod
    def of(cls, tokenizer: Any) -> "WordPieces | None":
        """For a tokenizer of transformers, if it is BERT's and puts one special token on either side of a text."""
        backend = getattr(tokenizer, "backend_tokenizer", None)
        return None if backend is None else cls.read(backend.to_str())

    @classmethod
    def read(cls, description: str) -> "WordPieces | None":
        """For the tokenizer that a `tokenizer.json` describes, if it is such a one."""
        content = json.loads(description)
        parts = [(content[part] or {}).get("type") for part in ("normalizer", "pre_tokenizer", "model")]
        across = any(token["single_word"] or _BLANKS.search(token["content"]) for token in content["added_tokens"])
        if parts != ["BertNormalizer", "BertPreTokenizer", "WordPiece"] or across:
            return None
        tokenizer = Tokenizer.from_str(description)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        special, letter = tokenizer.encode("").ids, tokenizer.encode("a").ids
        if len(special) != 2 or len(letter) != 3 or letter[::2] != special:
            return None
        return cls(tokenizer, (special[0], special[1]))

    @classmethod
    def bundled(cls) -> "WordPieces":
        """For MiniLM's tokenizer, which comes with the package; without importing transformers."""
        path = bundled_folder() / "tokenizer.json"
        check_bundled(path, TOKENIZER_SHA256)
        pieces = cls.read(path.read_text(encoding="utf-8"))
        assert pieces is not None
        return pieces

    @property
    def count(self) -> int:
        """Number of word pieces that there are."""
        return int(self._tokenizer.get_vocab_size())

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text."""
        chunked = [text.split() if text.isprintable() else _BLANKS.split(text) for text in texts]
        distinct = {chunk for chunks in chunked for chunk in chunks}
        remembered = self._known  # never shrinks, so that other threads may use it as well
        ids = {chunk: remembered[chunk] for chunk in distinct if chunk in remembered}
        new = list(distinct.difference(ids))
        if new:
            encoded = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
            new_ids = {chunk: encoding.ids for chunk, encoding in zip(new, encoded, strict=True)}
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
