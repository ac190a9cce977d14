"""Arrays of token ids of texts, by a `tokenizer.json` that cuts them as the exported encoder does; NumPy alone."""

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
        columns: name of an input → one array per text.
        padding: padding integer of each column.
        n_truncated: number of texts that were cut.
    """

    columns: Mapping[str, Sequence[np.ndarray]]
    padding: Mapping[str, int]
    n_truncated: int

    @property
    def lengths(self) -> list[int]:
        """Number of tokens of each text."""
        return [len(ids) for ids in self.columns["input_ids"]]

    def batch(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
        """Inputs of some texts: int64 `[batch, tokens]`, padded on the right."""
        lengths = np.array([len(self.columns["input_ids"][i]) for i in indices])
        mask = np.arange(lengths.max()) < lengths[:, None]
        inputs = {"attention_mask": mask.astype(np.int64)}
        for name, rows in self.columns.items():
            inputs[name] = np.full(mask.shape, self.padding[name], dtype=np.int64)
            inputs[name][mask] = np.concatenate([rows[i] for i in indices])
        return inputs


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of an exported folder, which cuts and does not pad; ConfigError if it cannot be read."""
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


def cut_into_tokens(tokenizer: Any, texts: Sequence[str], description: Description) -> TokenArrays:
    """Cut texts into tokens, at most `max_length`; a text without any gets one of padding, as the encoder does."""
    limit = description.max_length
    max_characters = None if limit is None else CHARACTERS_PER_TOKEN * limit
    encoded = tokenizer.encode_batch([without_surrogates(text[:max_characters]) for text in texts])
    attributes = {"input_ids": "ids", "token_type_ids": "type_ids"}
    columns = {
        name: [np.array(getattr(encoding, attributes[name]) or [padding], dtype=np.int64) for encoding in encoded]
        for name, padding in description.padding.items()
    }
    too_long = [max_characters is not None and len(text) > max_characters for text in texts]
    n_truncated = sum(bool(cut or encoding.overflowing) for cut, encoding in zip(too_long, encoded, strict=True))
    return TokenArrays(columns, description.padding, n_truncated)
