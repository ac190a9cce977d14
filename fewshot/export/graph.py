"""A fitted classifier as one module from token ids to logits, in float32, that can be traced.

    logits, score = graph(input_ids, attention_mask, ...)        batch and tokens of any size

Transformer, trained weights, pooling, shallow layer, projection and head are those of the classifier; its rejection
compares the score with its threshold.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders import Encoder
from fewshot.encoders.source import bundled_folder
from fewshot.encoders.static import StaticEncoder
from fewshot.encoders.tokens import TokenizedTexts
from fewshot.errors import ConfigError
from fewshot.export.description import INPUTS, LOGITS, SCORE
from fewshot.export.experts import separate_experts
from fewshot.export.rotary import real_rotations, replace_rotary
from fewshot.export.tables import PackedEmbedding, SearchedVectors
from fewshot.fitted.rejection import Rejection
from fewshot.learners.learner import Classifier

_EXAMPLES = ("the first of two texts", "and a second one, which has more words in it")
_MIN_ROWS = 2  # of a table that is packed


class ClassifierGraph(nn.Module):
    """Token ids to logits and, with a rejection, its score.

    Args:
        module: the weights.
        embed: maps inputs to features by these weights.
        classifier, rejection: of a `TextClassifier`.
    """

    def __init__(
        self,
        module: nn.Module,
        embed: Callable[[dict[str, Tensor]], Tensor],
        classifier: Classifier,
        rejection: Rejection | None,
    ):
        super().__init__()
        self.module = module
        self._embed, self._classifier, self._rejection = embed, classifier, rejection

    @property
    def rejects(self) -> bool:
        """True if there is a score."""
        return self._rejection is not None

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Logits `[batch, n_classes]` and, with a rejection, scores `[batch]`; the arguments are `INPUTS`."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        with real_rotations(self.module):
            unit = normalize(self._embed(inputs), dim=-1)
        logits = self._classifier.logits_at_once(unit[None])[0]
        if self._rejection is None:
            return (logits,)
        return logits, self._rejection.scores_at_once(self._classifier.metric(unit[None])[0])


@dataclass(frozen=True)
class Traceable:
    """A classifier in the form that an exporter needs.

    Args:
        graph: a module in eval mode.
        model: name of its encoder, for messages.
        inputs: an example, name → `[2, tokens]`.
        outputs: names of the outputs.
        tokenizer: JSON of the `tokenizers` library.
        padding: padding integer of each input but the mask.
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
    """A classifier in a form that can be traced, on its own copy of the weights; with `int8`, embeddings are in 8 bits.

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
    inputs = encoder.tokenize(_EXAMPLES)
    if isinstance(encoder, StaticEncoder):
        vectors = SearchedVectors(encoder.vectors, int8)
        graph = ClassifierGraph(vectors, lambda batch: vectors(batch["input_ids"]), classifier, rejection)
        return _traceable(encoder, graph, inputs, _static_tokenizer(), {"input_ids": 0}, None)
    tokens, window = encoder._tokenized(_EXAMPLES), encoder._window()
    tokenizer = None if window is None else getattr(window.tokenizer, "backend_tokenizer", None)
    if not isinstance(tokens, TokenizedTexts) or window is None or tokenizer is None or not set(inputs) <= set(INPUTS):
        raise ConfigError(
            f"The encoder {encoder.model!r} prepares texts in a way of its own (a prompt, or a tokenizer written in "
            f"Python). Expected a model that reads the tokens of a tokenizer.json. Choose another encoder."
        )
    _prepare(encoder, int8)
    graph = ClassifierGraph(encoder.module, encoder.embed, classifier, rejection)
    tokenizer_json = _with_settings(window.tokenizer, window.limit, tokens.padding["input_ids"])
    return _traceable(encoder, graph, inputs, tokenizer_json, tokens.padding, window.limit)


def _traceable(
    encoder: Encoder,
    graph: ClassifierGraph,
    inputs: Mapping[str, Tensor],
    tokenizer: str,
    padding: Mapping[str, int],
    limit: int | None,
) -> Traceable:
    return Traceable(
        graph=graph.requires_grad_(False).eval(),
        model=encoder.model,
        inputs={name: inputs[name] for name in INPUTS if name in inputs},
        outputs=[LOGITS, SCORE] if graph.rejects else [LOGITS],
        tokenizer=tokenizer,
        padding=dict(padding),
        max_length=limit,
    )


def _prepare(encoder: Encoder, int8: bool) -> None:
    """Make the loaded model traceable, in place."""
    backbone: Any = encoder.backbone
    if hasattr(backbone, "set_attn_implementation"):
        backbone.set_attn_implementation("eager")
    separate_experts(backbone)
    replace_rotary(backbone)
    if int8:
        for parent in list(encoder.module.modules()):
            for name, child in list(parent.named_children()):
                if type(child) is nn.Embedding and len(child.weight) >= _MIN_ROWS:
                    setattr(parent, name, PackedEmbedding(child.weight))


def _with_settings(tokenizer: Any, limit: int | None, padding: int) -> str:
    """A fast tokenizer as JSON that cuts and pads by itself."""
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    if limit is not None:
        copy.enable_truncation(limit, direction=tokenizer.truncation_side)
    copy.enable_padding(pad_id=padding, pad_token=tokenizer.pad_token or tokenizer.eos_token or "")
    return str(copy.to_str())


def _static_tokenizer() -> str:
    """The tokenizer of a static encoder as JSON: it cuts and adds nothing."""
    content = json.loads((bundled_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_str(json.dumps(content | {"post_processor": None, "truncation": None}))
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")  # noqa: S106 - no password
    return str(tokenizer.to_str())
