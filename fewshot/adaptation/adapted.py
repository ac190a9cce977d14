"""A text classifier that was adapted to labelled texts: an encoder, a head, and the user's labels."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.adaptation.head import CosineHead
from fewshot.encoders import Encoder, SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.settings import of_encoding
from fewshot.encoders.trained import read_trained, write_trained
from fewshot.errors import ConfigError
from fewshot.learners.projection import ResidualProjection
from fewshot.storage import write_json, write_tensors

FORMAT = 1
HEAD, DESCRIPTION = "head.safetensors", "adapted.json"
_ENCODERS: dict[str, type[Encoder]] = {kind.__name__: kind for kind in (SentenceTransformerEncoder, TransformerEncoder)}


@dataclass(frozen=True)
class AdaptedClassifier:
    """What an adaptation ends with.

    Args:
        encoder: with the trained weights, where the encoder was tuned.
        head: with its temperature.
        labels: the user's label of each class.
        details: how it came about, as JSON can hold it: `stage`, what was compared on held-out texts, and so on.
    """

    encoder: Encoder
    head: CosineHead
    labels: tuple[str | int, ...]
    details: Mapping[str, Any] = field(default_factory=dict)

    def logits(self, texts: Iterable[str]) -> Float[Tensor, "n_texts n_classes"]:
        """Calibrated logits, in nats, of each label for each text; float32 on the CPU."""
        with torch.no_grad():
            return self.head(self.encoder.encode(texts)) / self.head.temperature

    def probabilities(self, texts: Iterable[str]) -> Float[Tensor, "n_texts n_classes"]:
        """Probability of each label for each text."""
        return self.logits(texts).softmax(-1)

    def predict(self, texts: Iterable[str]) -> list[str | int]:
        """The most probable label of each text."""
        return [self.labels[number] for number in self.logits(texts).argmax(-1).tolist()]

    def save(self, folder: Path | str) -> None:
        """Write what differs from the published encoder, the head, and the labels; no pickle.

        With LoRA the folder is one of peft's as well. Read it with `load_adapted`.

        Args:
            folder: made if absent; what it held before is overwritten.

        Raises:
            StorageError: the folder cannot be written.
        """
        folder, trained = Path(folder), self.encoder.trained
        settings = self.encoder.settings() | {"weights": None}
        if trained is not None:
            write_trained(folder, trained, settings)
        write_tensors(folder / HEAD, self.head.state_dict())
        # Last: it says which of the files count.
        write_json(
            folder / DESCRIPTION,
            {
                "format": FORMAT,
                "labels": list(self.labels),
                "encoder": {"class": type(self.encoder).__name__, "settings": settings},
                "features": _print_of(self.encoder),
                "trained": None if trained is None else trained.digest,
                "details": dict(self.details),
            },
        )


def load_adapted(folder: Path | str, encoder: Encoder | None = None) -> AdaptedClassifier:
    """Read what `AdaptedClassifier.save` wrote; on the same machine its logits are identical.

    Args:
        folder: where it is.
        encoder: of the same published model and settings, to use in place of a new one; device, precision and cache
            are its own.

    Raises:
        ConfigError: the folder holds no adapted model, or the encoder is another one.
        EncoderError: the trained weights cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder).expanduser()
    try:
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        described, expected = content["encoder"], content["features"]
        if encoder is None:
            encoder = _ENCODERS[described["class"]](**of_encoding(described["settings"]))
        state = load_file(folder / HEAD)
        head = CosineHead(ResidualProjection(state["rows"].shape[1]), state["rows"], 1.0)
        head.load_state_dict(state)
        labels, digest, details = tuple(content["labels"]), content["trained"], content["details"]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ConfigError(
            f"{str(folder)!r} holds no adapted model that can be read ({type(error).__name__}: {error}). Expected "
            f"{DESCRIPTION} and {HEAD} as AdaptedClassifier.save writes them. Run the adaptation again."
        ) from error
    plain = encoder.replace(weights=None)
    adapted = plain if digest is None else plain.with_trained(read_trained(folder))
    if adapted.trained is not None and adapted.trained.digest != digest:
        raise ConfigError(
            f"The head in {str(folder)!r} was tuned with other encoder weights than those beside it. Expected the "
            f"folder as it was saved. Run the adaptation again."
        )
    if _print_of(adapted) != expected:
        raise ConfigError(
            f"The model in {str(folder)!r} was adapted from {described['settings']['model']!r} with "
            f"{described['settings']}, and the encoder is another one: {encoder.settings()}. Expected the same model, "
            f"pooling and shallow layer. Leave the encoder out, or give one with these settings."
        )
    return AdaptedClassifier(adapted, head.requires_grad_(False), labels, details)


def _print_of(encoder: Encoder) -> str:
    """The fingerprint in 32 bits, which is the same on machines with and without fast bfloat16."""
    return encoder.replace(dtype="float32").fingerprint
