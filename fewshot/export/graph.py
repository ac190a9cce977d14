"""A fitted classifier as one module from token ids to logits, in float32, that can be traced.

    logits, score = graph(input_ids, attention_mask, ...)        batch and tokens of any size

Transformer, trained weights, pooling, shallow layer, projection and head are those of the classifier; the score is what
its rejection compares with its threshold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders import Encoder
from fewshot.encoders.row_int8 import pack
from fewshot.encoders.tokens import TokenizedTexts
from fewshot.errors import ConfigError
from fewshot.export.description import INPUTS, LOGITS, SCORE
from fewshot.export.experts import separate_experts
from fewshot.export.rotary import real_rotations, replace_rotary
from fewshot.fitted.rejection import Rejection
from fewshot.learners.learner import Classifier

_EXAMPLES = ("the first of two texts", "and a second one, which has more words in it")
_FEWEST_ROWS = 2  # of a table that is worth packing


class ClassifierGraph(nn.Module):
    """Token ids to logits and, with a rejection, the score that it compares."""

    def __init__(self, encoder: Encoder, classifier: Classifier, rejection: Rejection | None):
        super().__init__()
        self.module = encoder.module
        self._encoder, self._classifier, self._rejection = encoder, classifier, rejection

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Logits `[batch, n_classes]` and perhaps scores `[batch]`; the arguments are `INPUTS`."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        with real_rotations(self._encoder.backbone):
            unit = normalize(self._encoder.embed(inputs), dim=-1)
        logits = self._classifier.logits_at_once(unit[None])[0]
        if self._rejection is None:
            return (logits,)
        return logits, self._rejection.scores_at_once(self._classifier.metric(unit[None])[0])


@dataclass(frozen=True)
class Traceable:
    """What an exporter needs of a classifier.

    Args:
        graph: a module in eval mode.
        model: name of its encoder, for messages.
        inputs: an example, name → `[2, tokens]`.
        outputs: their names.
        tokenizer: JSON of the `tokenizers` library.
        padding: the integer at padding of each input but the mask.
        max_length: tokens that are read at most; None: no limit.
    """

    graph: nn.Module
    model: str
    inputs: Mapping[str, Tensor]
    outputs: Sequence[str]
    tokenizer: str
    padding: Mapping[str, int]
    max_length: int | None


def traceable(encoder: Encoder, classifier: Classifier, rejection: Rejection | None, int8: bool) -> Traceable:
    """A classifier in a form that can be traced, on weights of its own; with `int8`, tables of words are in 8 bits.

    Raises:
        ConfigError: it reads texts in a way that one graph and a tokenizer cannot repeat.
        EncoderError: the encoder cannot be loaded.
    """
    if encoder.long_texts != "cut":
        raise ConfigError(
            f"The classifier reads long texts in pieces (long_texts={encoder.long_texts!r}), and an exported one reads "
            f"the beginning. Expected long_texts='cut'. Fit the classifier with it, or keep it as it is."
        )
    if encoder.quantise is not None:
        raise ConfigError(
            "The encoder has weights in 4 bits, which cannot be exported. Expected encoder.quantise=null. Fit the "
            "classifier on the encoder in full precision."
        )
    encoder = encoder.replace(dtype="float32", device="cpu", cache=None)
    tokens, window = encoder._tokenized(_EXAMPLES), encoder._window()
    tokenizer = None if window is None else getattr(window.tokenizer, "backend_tokenizer", None)
    inputs = encoder.tokenize(_EXAMPLES)
    if not isinstance(tokens, TokenizedTexts) or window is None or tokenizer is None or not set(inputs) <= set(INPUTS):
        raise ConfigError(
            f"The encoder {encoder.model!r} prepares texts in a way of its own (a prompt, or a tokenizer written in "
            f"Python). Expected a model that reads the tokens of a tokenizer.json. Choose another encoder."
        )
    _prepare(encoder, int8)
    return Traceable(
        graph=ClassifierGraph(encoder, classifier, rejection).requires_grad_(False).eval(),
        model=encoder.model,
        inputs={name: inputs[name] for name in INPUTS if name in inputs},
        outputs=[LOGITS] if rejection is None else [LOGITS, SCORE],
        tokenizer=_with_settings(window.tokenizer, window.limit, tokens.padding["input_ids"]),
        padding=dict(tokens.padding),
        max_length=window.limit,
    )


def _prepare(encoder: Encoder, int8: bool) -> None:
    """Make the loaded weights fit to be traced, in place."""
    backbone: Any = encoder.backbone
    if hasattr(backbone, "set_attn_implementation"):
        backbone.set_attn_implementation("eager")
    separate_experts(backbone)
    replace_rotary(backbone)
    if int8:
        for parent in list(encoder.module.modules()):
            for name, child in list(parent.named_children()):
                if type(child) is nn.Embedding and len(child.weight) >= _FEWEST_ROWS:
                    setattr(parent, name, PackedEmbedding(child.weight))


class PackedEmbedding(nn.Module):
    """A table whose rows are in 8 bits, each with a step of its own, see `row_int8`."""

    values: Tensor
    steps: Tensor

    def __init__(self, weight: Tensor):
        super().__init__()
        values, steps = pack({"rows": weight.detach()}).values()
        self.register_buffer("values", values)
        self.register_buffer("steps", steps)

    def forward(self, ids: Tensor) -> Tensor:
        """The rows with these numbers, in float32."""
        return self.values[ids].float() * self.steps[ids]


def _with_settings(tokenizer: Any, limit: int | None, padding: int) -> str:
    """A fast tokenizer as JSON that cuts and pads by itself."""
    from tokenizers import Tokenizer

    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own.no_truncation()
    if limit is not None:
        own.enable_truncation(limit, direction=tokenizer.truncation_side)
    own.enable_padding(pad_id=padding, pad_token=tokenizer.pad_token or tokenizer.eos_token or "")
    return str(own.to_str())
