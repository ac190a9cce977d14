"""One loaded model for several encoders that differ in their trained weights only."""

import torch
from torch import Tensor

from fewshot.encoders.adapter import remove_adapters
from fewshot.encoders.encoder import Encoder
from fewshot.encoders.trained import TrainedWeights
from fewshot.errors import ConfigError

_NOT_SHARED = frozenset({"_piece_fingerprint", "_features", "trained"})  # cached properties


class SharedModel:
    """One module for several encoders: before an encoder is used, its weights are put into the module.

    The published weights never change. Memory holds these, the changed ones, and a copy in 16 bits if that is the
    precision. Not for several threads.

    `encoder` has the settings of all; its own trained weights are ignored. ConfigError for weights in 4 bits.
    """

    def __init__(self, encoder: Encoder):
        if encoder.quantise is not None:
            raise ConfigError(
                f"Got encoder.quantise={encoder.quantise} for a model whose weights are exchanged, which 4 bits do "
                f"not allow. Set encoder.quantise=null."
            )
        self.published = encoder.replace(weights=None)
        self._loaded = self.published.replace(dtype="float32")  # from which every precision can be made
        self._originals: dict[str, Tensor] = {}  # the published weights, once an encoder is used
        self._current: Encoder | None = None

    def encoder(self, weights: TrainedWeights | None) -> Encoder:
        """An encoder with its own weights (None: the published ones), or EncoderError if they are of another model."""
        encoder = self.published.replace() if weights is None else self.published.with_trained(weights)
        if weights is not None:
            weights.check_base(encoder.model, encoder.identity)
        encoder._activate = self._activate
        return encoder

    def _activate(self, encoder: Encoder) -> None:
        """Put an encoder's weights into the module, unless they are there."""
        if self._current is encoder:
            return
        self._current = encoder
        try:
            if not self._originals:
                named = self._loaded.load().named_parameters()
                self._originals = {name: parameter.data for name, parameter in named}
            if encoder._module is None:
                share_module(self._loaded, encoder)
            remove_adapters(self._loaded.backbone)
            for name, parameter in self._loaded.module.named_parameters():
                parameter.data = self._originals[name]
            encoder.put_weights(self._loaded.module, torch.float32)
        except BaseException:
            self._current = None  # the next one begins anew
            raise


def share_module(loaded: Encoder, encoder: Encoder) -> None:
    """Give an encoder the module of a loaded one, its tokenizer and its other attributes."""
    for name, value in vars(loaded).items():
        if name not in vars(encoder) and name not in _NOT_SHARED:
            setattr(encoder, name, value)
    encoder._module, encoder._is_loaded = loaded.module, True
