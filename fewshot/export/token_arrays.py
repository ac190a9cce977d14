"""Texts to arrays of token ids by a `tokenizer.json`, as the encoder that was exported cuts them; NumPy alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewshot.encoders.texts import CHARACTERS_PER_TOKEN, without_surrogates
from fewshot.errors import ConfigError
from fewshot.export.description import TOKENIZER, Description


@dataclass(frozen=True)
class TokenArrays:
    """Tokens of several texts.

    Args:
        columns: name of an input → one array a text.
        padding: the integer of each column where a text ends before its batch.
        n_truncated: texts that lost their end.
    """

    columns: Mapping[str, Sequence[np.ndarray]]
    padding: Mapping[str, int]
    n_truncated: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(ids) for ids in self.columns["input_ids"]]

    def batch(self, places: Sequence[int]) -> dict[str, np.ndarray]:
        """Inputs of some texts: int64 `[batch, tokens]`, padded on the right."""
        lengths = np.array([len(self.columns["input_ids"][place]) for place in places])
        mask = np.arange(lengths.max()) < lengths[:, None]
        inputs = {"attention_mask": mask.astype(np.int64)}
        for name, rows in self.columns.items():
            inputs[name] = np.full(mask.shape, self.padding[name], dtype=np.int64)
            inputs[name][mask] = np.concatenate([rows[place] for place in places])
        return inputs


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of an exported folder, which cuts and does not pad; ConfigError where it cannot be read."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # tokenizers raises no type of its own
        raise ConfigError(
            f"The tokenizer {str(folder / TOKENIZER)!r} cannot be read ({' '.join(str(error).split())[:200]}). "
            f"Expected one that `fewshot export` wrote. Export the classifier again."
        ) from error
    tokenizer.no_padding()
    return tokenizer


def cut_into_tokens(tokenizer: Any, texts: Sequence[str], described: Description) -> TokenArrays:
    """Cut texts into tokens, at most `max_length`; a text without any gets one of padding, as the encoder does."""
    limit = described.max_length
    most = None if limit is None else CHARACTERS_PER_TOKEN * limit
    encoded = tokenizer.encode_batch([without_surrogates(text[:most]) for text in texts])
    read = {"input_ids": "ids", "token_type_ids": "type_ids"}
    columns = {
        name: [np.array(getattr(one, read[name]) or [padding], dtype=np.int64) for one in encoded]
        for name, padding in described.padding.items()
    }
    too_long = [most is not None and len(text) > most for text in texts]
    n_truncated = sum(bool(long or one.overflowing) for long, one in zip(too_long, encoded, strict=True))
    return TokenArrays(columns, described.padding, n_truncated)
