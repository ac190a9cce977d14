"""The layers of a transformer, which of them are trained, and full fine-tuning of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, get_args

from torch import nn

from fewshot.errors import EncoderError
from fewshot.ranges import BELOW_ONE, Range, RangedSettings, one_of, or_null

Layers = Literal["all", "layered"]

# Names of the maps that make queries and keys.  DeepSeek's latent attention makes keys and values from one map.
QUERY_KEY = {"query", "key", "q", "k", "q_lin", "k_lin", "q_proj", "k_proj"}
QUERY_KEY |= {"q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"}


@dataclass(frozen=True)
class Stack:
    """The transformer layers of a backbone, bottom first, and the path of their list, such as `encoder.layer`."""

    path: str
    layers: Sequence[nn.Module]

    def index(self, name: str) -> int | None:
        """The layer that a parameter of the backbone is in, None if it is in none.

        Example:
            >>> Stack("encoder.layer", [nn.Identity()] * 12).index("encoder.layer.11.output.dense.bias")
            11
        """
        inside = name.removeprefix(f"{self.path}.")
        return None if inside == name else int(inside.partition(".")[0])


class Split(NamedTuple):
    """Numbers of layers that are frozen, trained in queries and keys only, and trained whole; bottom first."""

    frozen: int
    attention: int
    whole: int


def split(n_layers: int) -> Split:
    """`layers="layered"`: of all layers 70 % frozen, 20 % in queries and keys only, the top 10 % whole.

    A few examples go further in the upper layers (compare Howard and Ruder 2018, https://arxiv.org/abs/1801.06146).
    Shares are rounded; each has at least one layer while there are enough, whole ones first.

    Example:
        >>> split(6), split(30)
        (Split(frozen=4, attention=1, whole=1), Split(frozen=21, attention=6, whole=3))
    """
    whole = max(1, round(0.1 * n_layers))
    attention = min(max(1, round(0.2 * n_layers)), n_layers - whole)
    return Split(n_layers - whole - attention, attention, whole)


def adapted_layers(stack: Stack, layers: Layers) -> tuple[int, ...]:
    """Numbers of the layers that LoRA or adapters change: those that are not frozen, see `split`."""
    first = split(len(stack.layers)).frozen if layers == "layered" and stack.layers else 0
    return tuple(range(first, len(stack.layers)))


def find_stack(backbone: nn.Module) -> Stack:
    """The stack of transformer layers: the outermost list as long as the config says."""
    count = getattr(getattr(backbone, "config", None), "num_hidden_layers", None)
    for path, module in backbone.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return Stack(path, list(module))
    return Stack("", ())


def keep_layers(backbone: nn.Module, layers: Sequence[int], model: str) -> None:
    """Take all but some layers out of a transformer, in place, so that those that are kept follow one another.

    `layers` rise from 0 or more; EncoderError, with the name `model`, if the transformer has no such layers.
    """
    stack = find_stack(backbone)
    if layers[-1] >= len(stack.layers):
        has = f"layers 0 to {len(stack.layers) - 1}" if stack.layers else "no stack of transformer layers"
        raise EncoderError(
            f"Got encoder.layers={list(layers)}, but encoder model {model!r} has {has}. Correct them, or set "
            f"encoder.layers=null."
        )
    parent, _, name = stack.path.rpartition(".")
    setattr(backbone.get_submodule(parent), name, nn.ModuleList(stack.layers[layer] for layer in layers))
    config: Any = backbone.config
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[layer] for layer in layers]
    config.num_hidden_layers = len(layers)


@dataclass(frozen=True, kw_only=True)
class TrainedLayers(RangedSettings):
    """Settings that all ways to train an encoder share.

    Args:
        layers: `"all"`, or `"layered"`: the top layers, see `split`.
        encoder_dropout: the model's own dropout while it is trained; None leaves the published one.
    """

    layers: Layers = "all"
    encoder_dropout: float | None = None

    kind: ClassVar[str]  # its name on the command line and in files
    GROUP: ClassVar[str] = "trainable"
    RANGES: ClassVar[dict[str, Range]] = {"layers": one_of(*get_args(Layers)), "encoder_dropout": or_null(BELOW_ONE)}


@dataclass(frozen=True)
class Full(TrainedLayers):
    """Train all weights of the layers and of what follows them, such as a decoder's last norm.

    Embeddings stay: they are half of a small model's parameters, their gradient is as large as the table, and words
    that the train classes lack would not change with the others. A BERT's pooler, which our pooling does not use,
    stays too.
    """

    kind: ClassVar[str] = "full"

    def parameters(self, backbone: nn.Module, model: str) -> Iterator[nn.Parameter]:
        """The parameters that are trained; EncoderError, with the name `model`, if they are not found."""
        stack = find_stack(backbone)
        if not stack.layers:
            raise EncoderError(
                f"Encoder model {model!r} has no stack of transformer layers that could be trained. "
                "Expected a transformer. Set trainable=none, or choose another encoder.model."
            )
        parts = split(len(stack.layers)) if self.layers == "layered" else Split(0, 0, len(stack.layers))
        for layer in stack.layers[parts.frozen : parts.frozen + parts.attention]:
            maps = [module for name, module in layer.named_modules() if name.rpartition(".")[2] in QUERY_KEY]
            if not maps:
                raise EncoderError(
                    f"Encoder model {model!r} has no query and key projections of a known name. "
                    f"Expected one of {', '.join(sorted(QUERY_KEY))}. Set trainable.layers=all."
                )
            for module in maps:
                yield from module.parameters()
        for layer in stack.layers[parts.frozen + parts.attention :]:
            yield from layer.parameters()
        yield from _above(backbone, stack)


def _above(backbone: nn.Module, stack: Stack) -> Iterator[nn.Parameter]:
    """Parameters behind the layers; MPNet's table of relative positions stands there too, but is an embedding."""
    behind = False
    for path, module in backbone.named_modules():
        in_stack = path == stack.path or stack.index(f"{path}.") is not None
        behind = behind or in_stack
        if behind and not in_stack and "pooler" not in path and not isinstance(module, nn.Embedding):
            yield from module.parameters(recurse=False)
