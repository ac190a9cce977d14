"""One fitted text classifier: an encoder, a classifier on its features, and the user's own labels."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.encoders import Encoder, SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.trained import read_trained, write_trained
from fewshot.errors import ConfigError
from fewshot.learners.learner import Classifier
from fewshot.learners.saving import classifier_from, described_classifier
from fewshot.storage import write_json, write_tensors

FORMAT = 2
TENSORS, DESCRIPTION = "classifier.safetensors", "classifier.json"
_ENCODERS: dict[str, type[Encoder]] = {kind.__name__: kind for kind in (SentenceTransformerEncoder, TransformerEncoder)}
# What only the caller decides: where and how fast to compute, what to trust, where to keep features.
_OF_THE_CALLER = ("device", "tokens_per_batch", "cache", "trust_remote_code", "pickled_weights", "weights")
_CHUNK = 1024  # texts that the classifier scores at once, to bound its memory


@dataclass(frozen=True)
class TextClassifier:
    """One fitted, immutable classifier.

    Args:
        encoder: text → features; with trained weights, where it was tuned.
        classifier: on unit features, a batch of one episode whose ways are the labels.
        labels: the user's label of each class.
        temperature: logits are divided by it for calibrated probabilities.
        details: how it came about, as JSON can hold it: `stage`, accuracies on held-out texts, and so on.
    """

    encoder: Encoder
    classifier: Classifier
    labels: tuple[str | int, ...]
    temperature: float = 1.0
    details: Mapping[str, Any] = field(default_factory=dict)

    def logits(self, texts: Iterable[str]) -> Float[Tensor, "n_texts n_classes"]:
        """Logits of each label for each text, not yet divided by the temperature; float32 on the CPU."""
        parts = self._features(texts).split(_CHUNK)
        with torch.no_grad():
            return torch.cat([self.classifier.logits(part[None])[0] for part in parts])

    def predict_proba(self, texts: Iterable[str]) -> Float[Tensor, "n_texts n_classes"]:
        """Calibrated probability of each label for each text."""
        return (self.logits(texts) / self.temperature).softmax(-1)

    def predict(self, texts: Iterable[str]) -> list[str | int]:
        """The most probable label of each text."""
        return [self.labels[number] for number in self.logits(texts).argmax(-1).tolist()]

    def embed(self, texts: Iterable[str]) -> Float[Tensor, "n_texts metric_dim"]:
        """Texts in the space whose Euclidean distances the classifier goes by."""
        with torch.no_grad():
            return self.classifier.metric(self._features(texts)[None])[0]

    def save(self, folder: Path | str) -> None:
        """Write the classifier, and the encoder's weights as far as they differ from the published ones; no pickle.

        With LoRA the folder is one of peft's as well. Read it with `TextClassifier.load`.

        Args:
            folder: made if absent; the files of an earlier classifier in it are overwritten.

        Raises:
            StorageError: the folder cannot be written.
        """
        folder, trained = Path(folder), self.encoder.trained
        settings = {name: value for name, value in self.encoder.settings().items() if name not in _OF_THE_CALLER}
        if trained is not None:
            write_trained(folder, trained, settings)
        description, tensors = described_classifier(self.classifier)
        write_tensors(folder / TENSORS, tensors)
        content = {
            "format": FORMAT,
            "labels": list(self.labels),
            "temperature": self.temperature,
            "classifier": description,
            "encoder": {"class": type(self.encoder).__name__, "settings": settings},
            "features": self.encoder.portable_fingerprint,
            "trained": None if trained is None else trained.digest,
            "details": dict(self.details),
        }
        write_json(folder / DESCRIPTION, content)  # last: a folder without it holds no classifier

    @classmethod
    def load(cls, folder: Path | str, encoder: Encoder | None = None) -> "TextClassifier":
        """Read what `save` wrote; on the same machine its logits are identical.

        Args:
            folder: where it is.
            encoder: of the same published model and settings, to use in place of a new one; device, precision and
                cache are its own.

        Raises:
            ConfigError: the folder holds no classifier, or the encoder is another one.
            EncoderError: the trained weights cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = Path(folder).expanduser()
        try:
            content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            if content["format"] != FORMAT:
                raise ValueError(f"its format is {content['format']}, expected {FORMAT}")
            classifier = classifier_from(content["classifier"], load_file(folder / TENSORS))
            settings = {k: v for k, v in content["encoder"]["settings"].items() if k not in _OF_THE_CALLER}
            if encoder is None:
                encoder = _ENCODERS[content["encoder"]["class"]](**settings)
            labels, temperature = tuple(content["labels"]), float(content["temperature"])
            features, digest, details = content["features"], content["trained"], dict(content["details"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ConfigError(
                f"{str(folder)!r} holds no classifier that can be read ({type(error).__name__}: {error}). Expected "
                f"{DESCRIPTION} and {TENSORS} as TextClassifier.save writes them. Fit the classifier again."
            ) from error
        published = encoder.replace(weights=None)
        adapted = published if digest is None else published.with_trained(read_trained(folder))
        if adapted.trained is not None and adapted.trained.digest != digest:
            raise ConfigError(
                f"The classifier in {str(folder)!r} goes with other encoder weights than those beside it. Expected the "
                f"folder as it was saved. Fit the classifier again."
            )
        if adapted.portable_fingerprint != features:
            raise ConfigError(
                f"The classifier in {str(folder)!r} was fitted on {settings['model']!r} with {settings}, and the "
                f"encoder is another one: {encoder.settings()}. Expected the same model, pooling and shallow layer. "
                f"Leave the encoder out, or give one with these settings."
            )
        return cls(adapted, classifier, labels, temperature, details)

    def _features(self, texts: Iterable[str]) -> Float[Tensor, "n_texts dim"]:
        return normalize(self.encoder.encode(texts), dim=-1)
