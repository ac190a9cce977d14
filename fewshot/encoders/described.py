"""An encoder as a saved folder describes it: its published model, and how it reads texts."""

from collections.abc import Mapping
from typing import Any

from fewshot.encoders.encoder import Encoder
from fewshot.encoders.sentence_transformer import SentenceTransformerEncoder
from fewshot.encoders.static import StaticEncoder
from fewshot.encoders.transformer import TransformerEncoder

_KINDS: tuple[type[Encoder], ...] = (SentenceTransformerEncoder, TransformerEncoder, StaticEncoder)
_ENCODERS = {kind.__name__: kind for kind in _KINDS}
# Settings that may come from a saved folder. The others are the caller's alone: where and how fast to compute, where
# features are kept, and what is trusted (remote code, pickled weights).
_OF_ALL = ("model", "revision", "dtype", "max_length", "shallow_layer", "shallow_weight", "quantise", "long_texts")
PORTABLE = frozenset((*_OF_ALL, "layers", "pooling", "attention", "normalize"))


def described_encoder(encoder: Encoder) -> dict[str, Any]:
    """Class and portable settings of an encoder, as JSON can hold them; trained weights are not in it."""
    return {"class": type(encoder).__name__, "settings": _portable(encoder.settings())}


def encoder_from(description: Mapping[str, Any]) -> Encoder:
    """The published encoder that was described; a LookupError, TypeError or ValueError where none was."""
    return _ENCODERS[description["class"]](**_portable(description["settings"]))


def _portable(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in PORTABLE}
