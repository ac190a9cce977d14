"""Texts longer than the limit of an encoder: cut, or read in pieces that overlap.

    features(text) = mean_p f(p) / |f(p)|        logit_c(text) = max_p logit_c(f(p))  with `chunk_max`

With `chunk_max` too, a classifier is fitted to the means. Pieces end between tokens of the model's tokenizer and are
about equally long; the last eighth of a piece is the beginning of the next, so that a phrase across a border is read
whole.
"""

import copy
import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.encoders.settings import EncoderSettings
from fewshot.encoders.texts import CHARACTERS_PER_TOKEN, TOKENIZING, checked_texts, without_surrogates
from fewshot.errors import ConfigError, EncoderError

log = logging.getLogger(__name__)
Reader = TypeVar("Reader", bound="LongTexts")

MAX_CHARACTERS = 100_000  # of a text that is read in pieces; some 80 pieces of 256 tokens
_AT_ONCE = 32  # texts whose tokens are in memory at once
_OVERLAP = 1 / 8  # of the tokens of a piece
_SLACK = 2  # tokens by which a piece may grow because it begins in the middle of a text
_reported: ContextVar[bool] = ContextVar("cut texts are reported by a caller", default=False)


@dataclass(frozen=True)
class Window:
    """The tokens that a model reads of a text at once.

    Args:
        tokenizer: the model's own.
        limit: maximum of tokens, special ones included; None: no limit.
        taken: tokens of the limit that special ones and a prompt take.
    """

    tokenizer: Any
    limit: int | None
    taken: int

    @property
    def room(self) -> int | None:
        """Tokens that are left for a text."""
        return None if self.limit is None else max(1, self.limit - self.taken)

    def offsets(self, texts: Sequence[str]) -> Iterator[list[tuple[int, int]]]:
        """First character and end of each token of each text, without holding those of all texts."""
        if not getattr(self.tokenizer, "is_fast", False):
            raise EncoderError(
                f"The tokenizer {type(self.tokenizer).__name__} does not say where its tokens stand, so a long text "
                f"cannot be read in pieces. Expected one of the `tokenizers` library. Set encoder.long_texts=cut."
            )
        for start in range(0, len(texts), _AT_ONCE):
            with TOKENIZING:
                encoded = self.tokenizer(
                    list(texts[start : start + _AT_ONCE]),
                    add_special_tokens=False,
                    return_attention_mask=False,
                    return_token_type_ids=False,
                    return_offsets_mapping=True,
                    truncation=False,
                    verbose=False,
                )
            yield from encoded["offset_mapping"]

    def may_be_long(self, text: str) -> bool:
        """False if a text fits for certain: no tokenizer makes more tokens than bytes."""
        return self.room is not None and len(text.encode("utf-8", "replace")) > self.room

    def n_cut(self, texts: Sequence[str]) -> int:
        """Number of texts that lose their end if long texts are cut."""
        if self.room is None or not getattr(self.tokenizer, "is_fast", False):
            return 0
        limit = CHARACTERS_PER_TOKEN * (self.room + self.taken)
        doubtful = [without_surrogates(text) for text in texts if len(text) <= limit and self.may_be_long(text)]
        n_longer = sum(len(offsets) > self.room for offsets in self.offsets(doubtful))
        return n_longer + sum(len(text) > limit for text in texts)

    def pieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Each text in pieces that fit; a text that fits is its only piece."""
        pieces = [[text] for text in texts]
        doubtful = [index for index, text in enumerate(texts) if self.may_be_long(text)]
        read = [without_surrogates(texts[index][:MAX_CHARACTERS]) for index in doubtful]
        for index, text, offsets in zip(doubtful, read, self.offsets(read), strict=True):
            assert self.room is not None
            pieces[index] = _cut(text, offsets, self.room)
        return pieces


class LongTexts(EncoderSettings):
    """The part of an encoder that cuts long texts or reads them in pieces."""

    @abstractmethod
    def _encode(self, texts: list[str]) -> Float[Tensor, "n_texts dim"]:
        """Features of texts, each cut at the model's limit."""

    def _window(self) -> Window | None:
        """The limit of the model; None if it is unknown. It may load the model."""
        return None

    def encode_pieces(self, texts: Iterable[str]) -> tuple[Float[Tensor, "n_pieces dim"], list[int]]:
        """Unit features of the pieces of all texts, in order, and the number of pieces of each text.

        Arguments and errors are those of `encode`.
        """
        pieces = self.in_pieces(checked_texts(texts))
        features = self._encode([piece for parts in pieces for piece in parts])
        return normalize(features, dim=-1), [len(parts) for parts in pieces]

    def in_pieces(self, texts: list[str]) -> list[list[str]]:
        """Each text in pieces that the model reads at once."""
        window = self._window() if texts else None
        return [[text] for text in texts] if window is None else window.pieces(texts)

    def _mean_of_pieces(self, texts: list[str]) -> Float[Tensor, "n_texts dim"]:
        pieces = self.in_pieces(texts)
        features = self._encode([piece for parts in pieces for piece in parts])
        return mean_of_pieces(features, [len(parts) for parts in pieces])

    def reading(self: Reader, long_texts: str) -> Reader:
        """A copy of the encoder that shares its loaded weights, with another setting `long_texts`.

        Raises:
            ConfigError: there is no such setting.
        """
        test, expected = EncoderSettings.RANGES["long_texts"]
        if not test(long_texts):
            raise ConfigError(f"Got long_texts={long_texts!r}, expected {expected}. Correct it.")
        if long_texts == self.long_texts:
            return self
        other = copy.copy(self)
        other.long_texts = long_texts
        return other

    @contextmanager
    def cuts_reported(self, texts: Sequence[str]) -> Iterator[None]:
        """Warn once of the number of texts that lose their end; no further such warning within the block.

        The model is not loaded to count the tokens of texts that are plainly short.
        """
        if not _reported.get():
            if self._plainly_short(texts):
                yield  # if one of them is cut all the same, the encoder warns itself
                return
            n_cut, limit = self._cuts(texts)
            if n_cut:
                log.warning(cut_message(n_cut, len(texts), limit, self.long_texts, 'long_texts="chunk"'))
        token = _reported.set(True)
        try:
            yield
        finally:
            _reported.reset(token)

    def _plainly_short(self, texts: Sequence[str]) -> bool:
        """True if no text can be long, or the model is not loaded yet and two bytes a token would be enough."""
        if self.max_length is None:
            return False
        longest = max((len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str)), default=0)
        return longest <= self.max_length * (0.5 if vars(self).get("_module") is not None else 2)

    def _cuts(self, texts: Sequence[str]) -> tuple[int, int | None]:
        """Number of texts that lose their end, and the limit of tokens."""
        if self.long_texts != "cut":
            return sum(len(text) > MAX_CHARACTERS for text in texts if isinstance(text, str)), None
        window = self._window()
        if window is None:
            return 0, None
        return window.n_cut([text for text in texts if isinstance(text, str)]), window.limit


def mean_of_pieces(features: Float[Tensor, "n_pieces dim"], counts: Sequence[int]) -> Float[Tensor, "n_texts dim"]:
    """Features of texts with one piece; for the others, the mean of the unit features of their `counts` pieces."""
    if len(features) == len(counts):
        return features
    parts = features.split(list(counts))
    return torch.stack([part[0] if len(part) == 1 else normalize(part, dim=-1).mean(0) for part in parts])


def is_reported() -> bool:
    """True if a caller warns of the number of cut texts."""
    return _reported.get()


def cut_message(n_cut: int, n_texts: int, limit: int | None, long_texts: str, cure: str) -> str:
    """A warning that some texts are not read to their end.

    Args:
        n_cut, n_texts: number of cut texts, and of all.
        limit: tokens that the model reads.
        long_texts: the encoder's setting.
        cure: the setting that reads pieces.
    """
    are = f"text{'' if n_texts == 1 else 's'} {'is' if n_cut == 1 else 'are'}"
    if long_texts != "cut":
        return (
            f"{n_cut} of {n_texts} {are} longer than {MAX_CHARACTERS:,} characters, and only so many are read. Cut "
            f"long documents into several texts."
        )
    return (
        f"{n_cut} of {n_texts} {are} longer than the {limit} tokens that the encoder reads, and what is behind them "
        f"is cut off. Set {cure} to read long texts in pieces, or encoder.max_length to a larger number where the "
        f"model allows more."
    )


def _cut(text: str, offsets: Sequence[tuple[int, int]], room: int) -> list[str]:
    """A text in the fewest pieces of at most `room` tokens, of about equal length."""
    n_tokens = len(offsets)
    if n_tokens <= room:
        return [text]
    size = max(1, room - _SLACK)
    overlap = int(size * _OVERLAP)
    n_pieces = ceil((n_tokens - overlap) / (size - overlap))
    step = (n_tokens - overlap) / n_pieces
    pieces = []
    for number in range(n_pieces):
        first = _word_start(text, offsets, round(number * step), overlap // 2)
        last = min(n_tokens, first + size, round((number + 1) * step) + overlap) - 1
        pieces.append(text[offsets[first][0] : offsets[last][1]])
    return pieces


def _word_start(text: str, offsets: Sequence[tuple[int, int]], token: int, max_steps: int) -> int:
    """The first of the tokens from `token` to `token + max_steps` that begins a word; `token` if none does."""
    for index in range(token, min(token + max_steps + 1, len(offsets))):
        start = offsets[index][0]
        if start == 0 or text[start - 1].isspace() or text[start].isspace():
            return index
    return token
