"""Tokenize all texts in one call, and pad them in batches of about equal length."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.encoders.texts import CHARACTERS_PER_TOKEN, TOKENIZING, by_tokens, without_surrogates
from fewshot.encoders.word_pieces import WordPieces
from fewshot.errors import EncoderError

_NO_LIMIT = 10**9
_COUNT_FROM_PADDING = {"camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl", "xmod"}


@runtime_checkable
class Tokens(Protocol):
    """Texts that are cut into tokens and given out in batches."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""

    @property
    def n_truncated(self) -> int:
        """Number of texts that were cut."""

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The model's inputs for some of the texts, in that order."""


@dataclass(frozen=True)
class TokenizedTexts:
    """Token ids of several texts: `columns` has a list per text for each input of a model, `padding` its padding id."""

    columns: Mapping[str, Sequence[Sequence[int]]]
    padding: Mapping[str, int]
    n_truncated: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(ids) for ids in self.columns["input_ids"]]

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """`attention_mask` and each column for some texts: integers `[batch, tokens]`, padded on the right."""
        lengths = torch.tensor([len(self.columns["input_ids"][index]) for index in indices])
        mask = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
        inputs = {"attention_mask": mask.long()}
        for name, rows in self.columns.items():
            inputs[name] = torch.full(mask.shape, self.padding[name])
            inputs[name][mask] = torch.tensor(list(chain.from_iterable(rows[index] for index in indices)))
        return inputs


def tokenize(
    tokenizer: Any,
    texts: Sequence[str],
    max_length: int | None,
    accepted: frozenset[str],
    pieces: WordPieces | None = None,
) -> TokenizedTexts:
    """Cut at least one text into tokens, at most `max_length`, special ones included.

    A text without any token gets one, the padding or end-of-text token, so that pooling has one.

    Args:
        tokenizer: the model's own.
        texts: to cut.
        max_length: None: no limit.
        accepted: names of the model's inputs.
        pieces: of the tokenizer, if there are any: faster, with the same ids.
    """
    max_characters = None if max_length is None else CHARACTERS_PER_TOKEN * max_length
    cleaned = [without_surrogates(text[:max_characters]) for text in texts]
    if pieces is not None and (max_length is None or max_length > len(pieces.special)):
        columns, cut = _columns_of_pieces(pieces, cleaned, max_length)
    else:
        with TOKENIZING:
            encoded = tokenizer(
                cleaned, truncation=max_length is not None, max_length=max_length, return_attention_mask=False
            )
        columns = dict(encoded)
        cut = _overflowing(encoded, max_length)
    special = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    padding = {name: 0 for name in columns if name in accepted}
    padding["input_ids"] = next((token for token in special if token is not None), 0)
    columns = {name: [row or [padding[name]] for row in columns[name]] for name in padding}
    if max_characters is not None:
        cut |= {index for index, text in enumerate(texts) if len(text) > max_characters}
    return TokenizedTexts(columns, padding, len(cut))


def _columns_of_pieces(
    pieces: WordPieces, texts: Sequence[str], max_length: int | None
) -> tuple[dict[str, list[list[int]]], set[int]]:
    """The columns that the tokenizer would give, and the indices of texts that are cut."""
    first, last = pieces.special
    room = None if max_length is None else max_length - len(pieces.special)
    rows = pieces(texts)
    ids = [[first, *row[:room], last] for row in rows]
    columns = {"input_ids": ids, "token_type_ids": [[0] * len(row) for row in ids]}
    return columns, {index for index, row in enumerate(rows) if room is not None and len(row) > room}


def _overflowing(encoded: Any, max_length: int | None) -> set[int]:
    """The indices of texts that a tokenizer has cut."""
    lengths = map(len, encoded["input_ids"])
    full = {index for index, length in enumerate(lengths) if max_length is not None and length >= max_length}
    if getattr(encoded, "encodings", None):  # only the fast kind knows whether a text just fits or was cut
        full = {index for index in full if encoded.encodings[index].overflowing}
    return full


def token_limit(max_length: int | None, tokenizer: Any, config: Any) -> int | None:
    """The smallest limit of tokens: `max_length`, the tokenizer's or the table of positions'; None if there is none."""
    limits = [max_length, tokenizer.model_max_length]
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None:
        # RoBERTa and its kin count positions from behind the padding id.
        offset = (config.pad_token_id or 0) + 1 if config.model_type in _COUNT_FROM_PADDING else 0
        limits.append(positions - offset)
    # A tokenizer without a limit says 1e30.
    return min((limit for limit in limits if limit is not None and limit < _NO_LIMIT), default=None)


def in_batches(
    lengths: Sequence[int], budget: int, embed: Callable[[list[int]], Float[Tensor, "batch dim"]]
) -> Float[Tensor, "n_texts dim"]:
    """Features of at least one text, float32 on the CPU, in the order of `lengths`; `embed` takes a batch's indices."""
    features = torch.empty(0)
    for indices in by_tokens(lengths, budget):
        rows = embed(indices).to("cpu", torch.float32)
        if not len(features):
            features = torch.empty(len(lengths), rows.shape[1])
        features[indices] = rows
    return features


def check_finite(features: Float[Tensor, "n_texts dim"], texts: Sequence[str], model: str) -> None:
    """Refuse NaN and infinity with an EncoderError that names the first text, and the model and its precision."""
    finite = features.isfinite().all(1)
    if not finite.all():
        text = texts[int((~finite).nonzero()[0])]
        raise EncoderError(
            f"Encoder model {model} gave NaN or infinite features for the text {text[:80]!r}; expected finite numbers. "
            f"Set encoder.dtype=float32, or choose another model."
        )
