"""A shallow hidden layer beside the embedding: the words beside the meaning.

    x = [e, w h] / sqrt(1 + w^2)        h = normalize(mean over tokens of the hidden states of layer l)

The last layer of a sentence encoder is trained to forget wording; the first third of the layers still tells
related words apart, which helps with rare terms and short requests.  Nothing is trained here.

Source: Wang and Kuo 2020, "SBERT-WK", on what the layers carry for a sentence embedding.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders import bundled
from fewshot.encoders.layers import find_stack
from fewshot.encoders.pooling import mean
from fewshot.errors import ConfigError, EncoderError


class Shallow:
    """Watches one hidden layer of a transformer and puts its mean beside the embedding.

    Layer 0 is the token embeddings, negative ones count from the end; the weight is the w above.
    """

    def __init__(self, layer: int, weight: float):
        if not weight > 0:
            raise ConfigError(f"Got encoder.shallow_weight={weight}, expected a number above 0.")
        self.layer, self.weight = layer, weight
        self._hidden: Tensor | None = None

    @classmethod
    def of(cls, layer: int | Literal["auto"] | None, weight: float, model: str) -> "Shallow | None":
        """From an encoder's settings; `"auto"` is `bundled.SHALLOW_LAYER` with the bundled model, else none."""
        if layer == "auto":
            layer = bundled.SHALLOW_LAYER if model == bundled.NAME else None
        return None if layer is None else cls(layer, weight)

    def watch(self, backbone: nn.Module, model: str) -> None:
        """Keep the layer's hidden states of each forward pass (a last layer's before any final norm).

        Raises:
            EncoderError: the backbone has no such layer.
        """
        layers = find_stack(backbone).layers
        if not layers or not -len(layers) - 1 <= self.layer <= len(layers):
            raise EncoderError(
                f"Encoder model {model!r} has {len(layers) or 'no'} hidden layers, so encoder.shallow_layer="
                f"{self.layer} is none of them. Set a smaller number, or null."
            )
        layer = self.layer % (len(layers) + 1)
        if layer == 0:
            layers[0].register_forward_pre_hook(self._keep_input, with_kwargs=True)
        else:
            layers[layer - 1].register_forward_hook(self._keep_output)

    def beside(
        self, features: Float[Tensor, "batch dim"], mask: Int[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch both"]:
        """The embedding and the shallow layer's mean of the same forward pass, together of length one."""
        assert self._hidden is not None
        shallow = normalize(mean(self._hidden, mask), dim=-1)
        self._hidden = None  # it holds the graph of the pass
        both = torch.cat([normalize(features, dim=-1), self.weight * shallow.to(features.dtype)], dim=-1)
        return both / (1 + self.weight**2) ** 0.5

    def _keep_input(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._hidden = args[0] if args else kwargs["hidden_states"]

    def _keep_output(self, module: nn.Module, args: Any, output: Any) -> None:
        self._hidden = output if isinstance(output, Tensor) else output[0]
