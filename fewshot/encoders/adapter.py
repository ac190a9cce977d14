"""Small layers between the layers of an encoder: adapters.

    h <- h + U relu(D h + d) + u        D: [dim, hidden], U: [hidden, dim], U and u start at 0

`h` is the output of a layer's feed-forward part, before it is added to the layer's input.

Source: Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP", https://arxiv.org/abs/1902.00751, with
one adapter a layer, behind the feed-forward part only, as in Pfeiffer et al. 2021, "AdapterFusion",
https://arxiv.org/abs/2005.00247. Theirs train the layer norms too; ours leave all published weights as they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders.layers import TrainedLayers, adapted_layers, find_stack
from fewshot.errors import EncoderError
from fewshot.ranges import POSITIVE, Range

# Where a layer's feed-forward part ends: decoders and ModernBERT, DistilBERT, BERT and its kin. None of them is a
# linear map, for LoRA would come between a linear map and what stands behind it.
_FEED_FORWARD = ("mlp", "ffn", "output.dropout")


@dataclass(frozen=True)
class Adapter(TrainedLayers):
    """Train small layers between the others, and nothing else.

    Args:
        dim: width of an adapter.
    """

    dim: int = 48

    kind: ClassVar[str] = "adapter"
    RANGES: ClassVar[dict[str, Range]] = TrainedLayers.RANGES | {"dim": POSITIVE}

    def place(self, backbone: nn.Module, model: str) -> "PlacedAdapter":
        """The adapters for a backbone, beside earlier ones; EncoderError, with the name `model`, if none fit."""
        earlier = sum(name.startswith(PlacedAdapter.name) for name, _ in _ends(backbone, model)[0].named_children())
        name = f"{PlacedAdapter.name}{earlier + 1}" if earlier else PlacedAdapter.name
        return PlacedAdapter(self.dim, adapted_layers(find_stack(backbone), self.layers), name)


@dataclass(frozen=True)
class PlacedAdapter:
    """Adapters placed in a backbone: their width, their layers, and their name inside the module before them."""

    dim: int
    layers: tuple[int, ...]
    name: str = "bottleneck"

    KIND: ClassVar[str] = Adapter.kind
    TENSORS: ClassVar[str] = "bottleneck.safetensors"
    CONFIG: ClassVar[str] = "bottleneck.json"
    scale: ClassVar[float | None] = None  # only the weights themselves change the features

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PlacedAdapter":
        """The inverse of `to_json`; KeyError if a key is missing."""
        return cls(content["dim"], tuple(content["layers"]), content["name"])

    def to_json(self, model: str) -> dict[str, Any]:
        """The content of the file beside the weights."""
        return {"dim": self.dim, "layers": list(self.layers), "name": self.name, "model": model}

    def inject(self, backbone: nn.Module, generator: torch.Generator | None = None) -> nn.Module:
        """Put adapters into a backbone, in place, and give it back; only adapters are trained.

        `generator` draws the D matrices; None if they are overwritten anyway.
        """
        backbone.requires_grad_(False)
        device = next(parameter.device for parameter in backbone.parameters() if parameter.is_floating_point())
        ends = _ends(backbone, type(backbone).__name__)
        hidden: Any = backbone.config.hidden_size  # type: ignore[union-attr]
        for index in self.layers:
            layer = AdapterLayer(hidden, self.dim, generator)
            ends[index].add_module(self.name, layer.to(device, torch.float32))
            layer.handle = ends[index].register_forward_hook(partial(_through, self.name))
        return backbone

    def parameters(self, backbone: nn.Module) -> dict[str, nn.Parameter]:
        """The parameters of these adapters, by their names in the backbone."""
        return {name: p for name, p in backbone.named_parameters() if f".{self.name}." in name}

    def withdraw(self, model: nn.Module) -> None:
        """Take these adapters out of what `inject` gave, in place."""
        remove_adapters(model, self.name)

    def settle(self, model: nn.Module) -> None:
        """Keep the adapters beside the weights of what `inject` gave: they cannot be merged into them."""
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.requires_grad_(True)

    @staticmethod
    def is_scaled(name: str) -> bool:
        """True for the parameters that interpolation scales: U and u, which start at zero."""
        return ".down." not in name


class AdapterLayer(nn.Module):
    """One adapter; `generator` draws D, uniformly within `1 / sqrt(hidden)`; None leaves the numbers of torch."""

    def __init__(self, hidden: int, dim: int, generator: torch.Generator | None = None):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.down, self.up = nn.Linear(hidden, dim), nn.Linear(dim, hidden)
        if generator is not None:
            nn.init.kaiming_uniform_(self.down.weight, a=5**0.5, generator=generator)
        for part in (self.up.weight, self.up.bias, self.down.bias):
            nn.init.zeros_(part)
        self.handle: Any = None  # of the hook that calls it

    def forward(self, hidden: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch hidden"]:
        """The equation above."""
        return hidden + self.up(torch.relu(self.down(hidden.to(self.down.weight.dtype)))).to(hidden.dtype)


def remove_adapters(backbone: nn.Module, chosen: str | None = None) -> None:
    """Take adapters out of a backbone, in place: those of one name, or all."""
    for module in list(backbone.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, AdapterLayer) and chosen in (None, name):
                child.handle.remove()
                delattr(module, name)


def _through(name: str, module: nn.Module, inputs: Any, output: Any) -> Any:
    layer = module.get_submodule(name)
    return (layer(output[0]), *output[1:]) if isinstance(output, tuple) else layer(output)


def _ends(backbone: nn.Module, model: str) -> list[nn.Module]:
    """The last module of each layer's feed-forward part."""
    named = [dict(layer.named_modules()) for layer in find_stack(backbone).layers]
    ends = [next((modules[path] for path in _FEED_FORWARD if path in modules), None) for modules in named]
    if not ends or None in ends:
        raise EncoderError(
            f"Encoder model {model!r} has no {'feed-forward parts of a known name' if named else 'transformer layers'} "
            f"to put adapters behind. Expected {', '.join(_FEED_FORWARD)} in each layer. Set trainable=none, "
            f"or lora with trainable.targets."
        )
    return [end for end in ends if end is not None]
