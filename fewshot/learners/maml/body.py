"""An encoder as a pure function of the parameters that an inner loop adapts."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.encoders import Encoder, Trainable, TrainableEncoder
from fewshot.encoders.trained import TrainedWeights
from fewshot.errors import ConfigError
from fewshot.learners.maml.network import Parameters

_NO_TOKEN = -1  # no tokenizer has it, while the id that stands for padding may be that of a real token


class Body:
    """Features of token rows, given the adapted parameters.

    The encoder is a copy with weights in 32 bits.  Dropout is off at first.

    Raises:
        ConfigError: second order is asked for, and the attention has no second derivative.
        EncoderError: the weights cannot be loaded, or their architecture is not known well enough.
    """

    def __init__(self, encoder: Encoder, trainable: Trainable, second_order: bool, generator: torch.Generator):
        self.trainable = TrainableEncoder(encoder, trainable, generator)
        if second_order:
            _turn_to_eager_attention(self.trainable.backbone, encoder.model)
        # Name → parameter, before any step.
        self.start: Mapping[str, Tensor] = {n: p for n, p in self.trainable.named_parameters() if p.requires_grad}
        self.names = frozenset(self.start)
        self.trainable.train(False)

    def __call__(self, parameters: Parameters, rows: Int[Tensor, "n tokens"]) -> Float[Tensor, "n dim"]:
        """Unit vectors of token rows, on the device of the rows."""
        features = torch.func.functional_call(self.trainable, dict(parameters), (tokens_of(rows),))
        return normalize(features.to(rows.device), dim=-1)

    def weights(self, parameters: Parameters) -> TrainedWeights:
        """Adapted parameters as trained weights of the encoder, for `Encoder.with_trained`."""
        kept = {name: value.detach().clone() for name, value in self.start.items()}
        try:
            for name, value in self.start.items():
                value.data.copy_(parameters[name].detach())
            return self.trainable.trained_weights()
        finally:
            for name, value in self.start.items():
                value.data.copy_(kept[name])


def _turn_to_eager_attention(backbone: Any, model: str) -> None:
    """The fused kernels have a first derivative only."""
    kernel = getattr(getattr(backbone, "config", None), "_attn_implementation", None) or "eager"
    if kernel == "eager":
        return
    try:
        backbone.set_attn_implementation("eager")
    except (AttributeError, ValueError) as error:
        raise ConfigError(
            f"Encoder model {model!r} insists on the attention kernel {kernel!r}, which has no second derivative, "
            f"and MAML of second order needs one. Set learner.first_order=true."
        ) from error


def token_rows(encoder: Encoder, texts: Sequence[str]) -> Int[Tensor, "n_texts tokens"]:
    """Texts (at least one) as rows of token ids, which episodes index like features; -1 is behind the end of a text.

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
    """The batch that `Encoder.embed` takes of `token_rows`, cut to the longest text in it.

    Example:
        >>> tokens_of(torch.tensor([[7, 0, -1], [5, -1, -1]]))["attention_mask"].tolist()
        [[1, 1], [1, 0]]
    """
    mask = rows != _NO_TOKEN
    rows = rows[:, : int(mask.sum(1).max())]
    mask = mask[:, : rows.shape[1]]
    return {"input_ids": rows.masked_fill(~mask, 0), "attention_mask": mask.long()}
