"""From one vector per token to one vector per text, in at least 32 bits, with padding on either side.

A shallow hidden layer can stand beside the embedding: the words beside the meaning.

    x = [e, w h] / sqrt(1 + w^2)        h = normalize(mean over tokens of the hidden states of layer l)

The last layer of a sentence encoder is trained to forget wording; the first third of the layers still tells
related words apart, which helps with rare terms and short requests.  Nothing is trained here.

Source: Wang and Kuo 2020, "SBERT-WK", on what the layers carry for a sentence embedding.
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders.layers import find_stack
from fewshot.encoders.source import BUNDLED, SHALLOW_LAYER
from fewshot.errors import EncoderError

Pooling = Callable[[Tensor, Tensor], Tensor]
Hidden = Float[Tensor, "batch tokens dim"]
Features = Float[Tensor, "batch dim"]
Mask = Int[Tensor, "batch tokens"] | Bool[Tensor, "batch tokens"]
_hidden: ContextVar[Tensor | None] = ContextVar("hidden states of a layer in this thread's last pass", default=None)


def mean(hidden: Hidden, mask: Mask) -> Features:
    """The mean over a text's tokens, non-zero in `mask`: `sum_t m_t h_t / sum_t m_t`; each text has at least one."""
    return _weighted(hidden, mask, mask.bool().float())


def weighted_mean(hidden: Hidden, mask: Mask) -> Features:
    """The mean with the position as weight, first token 1: `sum_t t h_t / sum_t t`.

    Under causal attention only late tokens have seen the whole text, so they count for more.

    Source: SGPT (Muennighoff, 2022), https://arxiv.org/abs/2202.08904, section 3.1.
    """
    return _weighted(hidden, mask, mask.bool().cumsum(1).float())


def last_token(hidden: Hidden, mask: Mask) -> Features:
    """The last real token, the only one that has seen the whole text under causal attention."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    return _pick(hidden, (positions * mask.bool()).argmax(1))


def first_token(hidden: Hidden, mask: Mask) -> Features:
    """The first real token: BERT's `[CLS]`."""
    from_the_end = torch.arange(mask.shape[1], 0, -1, device=mask.device)
    return _pick(hidden, (from_the_end * mask.bool()).argmax(1))


POOLINGS: Mapping[str, Pooling] = MappingProxyType(
    {"mean": mean, "weighted_mean": weighted_mean, "last": last_token, "cls": first_token}
)


def widen(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The tensor in 32 bits, or as it is where it has more."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _weighted(hidden: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    # Filled, not multiplied: rows without a key to attend to are NaN in some attention kernels.
    hidden = widen(hidden).masked_fill(~mask.bool().unsqueeze(-1), 0.0)
    weights = (weights * mask.bool()).to(hidden.dtype)
    return torch.einsum("btd,bt->bd", hidden, weights) / weights.sum(1, keepdim=True)


def _pick(hidden: Tensor, positions: Tensor) -> Tensor:
    return widen(hidden[torch.arange(hidden.shape[0], device=hidden.device), positions])


@dataclass(frozen=True)
class Shallow:
    """A hidden layer of a transformer whose mean stands beside the embedding.

    Args:
        layer: 0 is the token embeddings, negative ones count from the end.
        weight: w above.
    """

    layer: int
    weight: float

    @classmethod
    def of(
        cls, layer: int | Literal["auto"] | None, weight: float, model: str, layers: Sequence[int] | None = None
    ) -> "Shallow | None":
        """From an encoder's settings; `"auto"` is `SHALLOW_LAYER` with the bundled model, else none.

        Of some of its layers alone it is the middle one, of an odd number the one above it.
        """
        if layer == "auto":
            layer = None if model != BUNDLED else SHALLOW_LAYER if layers is None else (len(layers) + 1) // 2
        return None if layer is None else cls(layer, weight)

    def watch(self, backbone: nn.Module, model: str) -> None:
        """Keep the layer's hidden states of each forward pass (before any final norm); EncoderError without it."""
        layers = find_stack(backbone).layers
        if not layers or not -len(layers) - 1 <= self.layer <= len(layers):
            raise EncoderError(
                f"Encoder model {model!r} has {len(layers) or 'no'} hidden layers, so encoder.shallow_layer="
                f"{self.layer} is none of them. Set a smaller number, or null."
            )
        layer = self.layer % (len(layers) + 1)
        if layer == 0:
            layers[0].register_forward_pre_hook(_keep_input, with_kwargs=True)
        else:
            layers[layer - 1].register_forward_hook(_keep_output)

    def beside(
        self, features: Float[Tensor, "batch dim"], mask: Int[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch both"]:
        """The embedding and the shallow layer's mean of this thread's last pass, together of length one."""
        hidden = _hidden.get()
        assert hidden is not None
        _hidden.set(None)  # it holds the graph of the pass
        shallow = normalize(mean(hidden, mask), dim=-1)
        both = torch.cat([normalize(features, dim=-1), self.weight * shallow.to(features.dtype)], dim=-1)
        return both / (1 + self.weight**2) ** 0.5


def _keep_input(module: nn.Module, args: Any, kwargs: Any) -> None:
    _hidden.set(args[0] if args else kwargs["hidden_states"])


def _keep_output(module: nn.Module, args: Any, output: Any) -> None:
    _hidden.set(output if isinstance(output, Tensor) else output[0])
