"""Texts as rows of token ids: what stands in the place of features where the inner loop goes through the encoder.

One matrix of integers for all texts, so that episodes index it as they index features.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from fewshot.encoders.encoder import Encoder
from fewshot.errors import ConfigError

_NO_TOKEN = -1  # no tokenizer has it, while the id that stands for padding may be that of a real token


def token_rows(encoder: Encoder, texts: Sequence[str]) -> Int[Tensor, "n_texts tokens"]:
    """Texts as rows of token ids, for an inner loop through the encoder; -1 stands behind the end of a text.

    Args:
        encoder: whose tokens they are.
        texts: at least one.

    Raises:
        ConfigError: the encoder takes more than the ids of tokens.
    """
    batch = encoder.tokenize(texts)
    needed = set(batch) - {"input_ids", "attention_mask", "token_type_ids"}
    if "input_ids" not in batch or needed or bool(batch.get("token_type_ids", torch.zeros(1)).any()):
        raise ConfigError(
            f"Encoder model {encoder.model!r} reads {', '.join(sorted(batch))}, but an inner loop through the encoder "
            f"gives it the ids of tokens and nothing else. Set training=episodic, or choose another encoder."
        )
    return batch["input_ids"].masked_fill(batch["attention_mask"] == 0, _NO_TOKEN)


def tokens_of(rows: Int[Tensor, "n tokens"]) -> dict[str, Int[Tensor, "n longest"]]:
    """The batch that `Encoder.embed` takes, cut to the longest text in it.

    Args:
        rows: from `token_rows`.

    Example:
        >>> tokens_of(torch.tensor([[7, 0, -1], [5, -1, -1]]))["attention_mask"].tolist()
        [[1, 1], [1, 0]]
    """
    mask = rows != _NO_TOKEN
    rows = rows[:, : int(mask.sum(1).max())]
    mask = mask[:, : rows.shape[1]]
    return {"input_ids": rows.masked_fill(~mask, 0), "attention_mask": mask.long()}
