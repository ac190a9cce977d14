"""The weights of an encoder, and its fingerprint."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from fewshot.encoders.pooling import Shallow
from fewshot.encoders.settings import EncoderSettings
from fewshot.encoders.source import Source, locate
from fewshot.encoders.trained import TrainedWeights, read_trained

Named = TypeVar("Named", bound="NamedWeights")

FORMAT = 1  # part of every fingerprint: raise it when the same settings begin to give other features


class NamedWeights(EncoderSettings):
    """The part of an encoder that finds its weights, published or trained, and names them."""

    @property
    def identity(self) -> str:
        """A name for the published weights, of the layers that are kept; EncoderError if they are not found."""
        kept = "" if self.layers is None else f" layers {','.join(map(str, self.layers))}"
        return self._source.identity + kept

    @property
    def folder(self) -> Path:
        """The folder of the published weights; EncoderError if they are not found."""
        return self._source.folder

    @property
    def described(self) -> str:
        """The model, and where its trained weights are from."""
        if self.trained is None:
            return self.model
        task, folder = self.trained.seen.get("task"), "" if self.weights is None else f" of {self.weights}"
        return f"{self.model} with weights{folder} trained on {task or 'an unknown task'}"

    @cached_property
    def trained(self) -> TrainedWeights | None:
        """The trained weights in place of the published ones, if there are any."""
        return None if self.weights is None else read_trained(self.weights)

    def replace(self: Named, **settings: Any) -> Named:
        """An encoder of the same kind, not loaded, with some settings changed; trained weights go along."""
        other = type(self)(**(self._arguments() | settings))
        if "weights" not in settings and "trained" in vars(self):
            other.trained = self.trained
        return other

    def with_trained(self: Named, weights: TrainedWeights) -> Named:
        """An encoder of the same settings, not loaded, with trained weights in place of the published ones."""
        other = self.replace()
        other.trained = weights
        return other

    @cached_property
    def _source(self) -> Source:
        return locate(self.model, self.revision, self.trust_remote_code, self.pickled_weights)

    @cached_property
    def _shallow(self) -> Shallow | None:
        return Shallow.of(self.shallow_layer, self.shallow_weight, self.model, self.layers)

    def _fingerprint(self, precision: str) -> str:
        content = {
            "format": FORMAT,
            "class": type(self).__name__,
            "weights": self.identity,
            "dtype": precision,
            **self._settings(),
        }
        if self.trained is not None:
            self.trained.check_base(self.model, self.identity)
            content["trained"] = self.trained.digest
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def _settings(self) -> dict[str, Any]:
        """The settings that change the features, besides weights, class and precision."""
        return {
            "max_length": self.max_length,
            **({} if self._shallow is None else {"shallow": [self._shallow.layer, self._shallow.weight]}),
            **({} if self.quantise is None else {"quantise": self.quantise}),
        }
