"""Several classifiers over one loaded encoder."""

from dataclasses import replace
from pathlib import Path

from fewshot.encoders import Encoder
from fewshot.encoders.shared import SharedModel
from fewshot.errors import ConfigError
from fewshot.text_classifier import TextClassifier


class AdapterSwitch:
    """Classifiers by name, all over one encoder that is loaded once.

    The weights of a classifier are put into the encoder when it is used, so all stay usable side by side, with the
    same logits as alone. A switch takes time, so classify all texts with one before the next.

    Args:
        encoder: of the published model; its settings, such as device and precision, apply to all.

    Raises:
        EncoderError: it cannot be loaded.
    """

    def __init__(self, encoder: Encoder):
        self._model = SharedModel(encoder)
        self._classifiers: dict[str, TextClassifier] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order in which they were added."""
        return tuple(self._classifiers)

    def add(self, name: str, model: TextClassifier | Path | str) -> TextClassifier:
        """Add a classifier, or replace the one of this name, and return it over the shared encoder.

        Args:
            name: for `use`.
            model: adapted from this encoder; or the folder that one was saved to.

        Raises:
            ConfigError: a folder without a classifier, or one of another encoder.
            EncoderError: it was adapted from another published model.
        """
        if not isinstance(model, TextClassifier):
            model = TextClassifier.from_pretrained(model, self._model.published)
        encoder = self._model.encoder(model.encoder.trained)
        if encoder.portable_fingerprint != model.encoder.portable_fingerprint:
            raise ConfigError(
                f"The model {name!r} was adapted from {model.encoder.settings()}, and the shared encoder is "
                f"{encoder.settings()}. Expected the same model, pooling and layer. Give it a switch of its own."
            )
        self._classifiers[name] = replace(model, encoder=encoder)
        return self._classifiers[name]

    def use(self, name: str) -> TextClassifier:
        """The classifier of a name, with its weights in the encoder; ConfigError if there is none."""
        if name not in self._classifiers:
            known = ", ".join(self._classifiers) or "none yet: add one first"
            raise ConfigError(f"There is no classifier {name!r}. Expected one of {known}. Correct the name.")
        self._classifiers[name].encoder.load()
        return self._classifiers[name]
