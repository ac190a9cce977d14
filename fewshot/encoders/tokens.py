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
    """Texts that are cut into tokens and can be asked for in batches."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""

    @property
    def n_truncated(self) -> int:
        """Texts that lost their end."""

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The model's inputs for some of the texts, in the order wanted."""


@dataclass(frozen=True)
class TokenizedTexts:
    """Token ids of several texts, each as long as it is.

    Args:
        columns: name of a model's input (`input_ids`, `token_type_ids`) → one list of integers per text.
        padding: name → the integer that stands at padding.
        n_truncated: texts that lost their end.
    """

    columns: Mapping[str, Sequence[Sequence[int]]]
    padding: Mapping[str, int]
    n_truncated: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(ids) for ids in self.columns["input_ids"]]

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The inputs of some texts, padded on the right.

        Args:
            indices: the texts, in the order wanted.

        Returns:
            `attention_mask` and each column; integers `[batch, tokens]`.
        """
        lengths = torch.tensor([len(self.columns["input_ids"][index]) for index in indices])
        mask = torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
        inputs = {"attention_mask": mask.long()}
        for name, rows in self.columns.items():
            inputs[name] = torch.full(mask.shape, self.padding[name])
            inputs[name][mask] = torch.tensor(list(chain.from_iterable(rows[index] for index in indices)))
        return inputs


def checked_texts(texts: Iterable[str]) -> list[str]:
    """Texts as a list.

    Args:
        texts: a list, an array or a column.

    Raises:
        TypeError: it is one text, or something among them is none.
    """
    if isinstance(texts, str):
        raise TypeError("encode takes a sequence of texts; got one text. Put it into a list.")
    texts = list(texts)
    other = next((number for number, text in enumerate(texts) if not isinstance(text, str)), None)
    if other is not None:
        raise TypeError(
            f"encode takes texts; number {other} is {texts[other]!r}, a {type(texts[other]).__name__}. Leave it "
            f"out, or put a text in its place."
        )
    return texts


def tokenize(tokenizer: Any, texts: Sequence[str], max_length: int | None, accepted: frozenset[str]) -> TokenizedTexts:
    """Cut texts into tokens.

    Args:
        tokenizer: of transformers, the fast kind or not.
        texts: at least one.
        max_length: most tokens of a text, special ones included; the rest is cut off. None cuts nothing.
        accepted: names of the inputs that the model takes.

    Returns:
        Texts without any token get one, the padding or end-of-text token, so that there is something to pool.
    """
    # Half a surrogate pair is no text to a tokenizer and would stop the whole run.
    cleaned = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    cut = max_length is not None
    encoded = tokenizer(cleaned, truncation=cut, max_length=max_length, return_attention_mask=False)
    ids = encoded["input_ids"]
    padding = {name: 0 for name in encoded if name in accepted}
    padding["input_ids"] = next(
        (token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id) if token is not None), 0
    )
    columns = {name: [row or [padding[name]] for row in encoded[name]] for name in padding}
    full = [index for index, row in enumerate(ids) if max_length is not None and len(row) >= max_length]
    if getattr(encoded, "encodings", None):  # only the fast kind tells a text that just fits from one that was cut
        full = [index for index in full if encoded.encodings[index].overflowing]
    return TokenizedTexts(columns, padding, len(full))


def token_limit(max_length: int | None, tokenizer: Any, config: Any) -> int | None:
    """Most tokens of a text: what was asked for, within what tokenizer and table of positions allow; None for any.

    Args:
        max_length: None is no limit of one's own.
        tokenizer: of transformers.
        config: of transformers.
    """
    limits = [max_length, tokenizer.model_max_length]
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None:
        # RoBERTa and its kin count positions from behind the padding id.
        offset = (config.pad_token_id or 0) + 1 if config.model_type in _COUNT_FROM_PADDING else 0
        limits.append(positions - offset)
    # A tokenizer that knows of no limit says 1e30.
    return min((limit for limit in limits if limit is not None and limit < _NO_LIMIT), default=None)
