"""Texts cut into tokens in one go, and padded only when a batch is made of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

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
    """Token ids of several texts, without padding.

    Args:
        columns: name of a model's input (`input_ids`, `token_type_ids`) → one list of integers per text.
        padding: name → the integer at padding.
        n_truncated: number of texts that were cut.
    """

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


def checked_texts(texts: Iterable[str]) -> list[str]:
    """A list, an array or a column of texts as a list; TypeError for one text, or if something among them is none."""
    if isinstance(texts, str):
        raise TypeError("encode takes a sequence of texts; got one text. Put it into a list.")
    texts = list(texts)
    other = next((number for number, text in enumerate(texts) if not isinstance(text, str)), None)
    if other is not None:
        got = f"{texts[other]!r}, a {type(texts[other]).__name__}"
        raise TypeError(f"encode takes texts; number {other} is {got}. Leave it out, or put a text in its place.")
    return texts


def tokenize(tokenizer: Any, texts: Sequence[str], max_length: int | None, accepted: frozenset[str]) -> TokenizedTexts:
    """Cut texts into tokens.

    Args:
        tokenizer: of transformers, the fast kind or not.
        texts: at least one.
        max_length: a text is cut to so many tokens, special ones included; None cuts nothing.
        accepted: names of the inputs that the model takes.

    Returns:
        A text without any token gets one, the padding or end-of-text token, so that pooling has one.
    """
    # Tokenizers fail on half a surrogate pair.
    cleaned = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    cut = max_length is not None
    encoded = tokenizer(cleaned, truncation=cut, max_length=max_length, return_attention_mask=False)
    special = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    padding = {name: 0 for name in encoded if name in accepted}
    padding["input_ids"] = next((token for token in special if token is not None), 0)
    columns = {name: [row or [padding[name]] for row in encoded[name]] for name in padding}
    lengths = map(len, encoded["input_ids"])
    full = [index for index, length in enumerate(lengths) if max_length is not None and length >= max_length]
    if getattr(encoded, "encodings", None):  # only the fast kind knows whether a text just fits or was cut
        full = [index for index in full if encoded.encodings[index].overflowing]
    return TokenizedTexts(columns, padding, len(full))


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
