"""Low-rank updates of an encoder's linear maps, through peft.

    y = W x + s B A x        A: [rank, in], B: [out, rank], B starts at 0, s = alpha / rank

Rank-stabilised, s is alpha / sqrt(rank). With DoRA the map is m (W + s B A) / |W + s B A|, row by row, and the
lengths m, which start as those of W, are trained too.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685;
Kalajdzievski 2023, "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA",
https://arxiv.org/abs/2312.03732; Liu et al. 2024, "DoRA", https://arxiv.org/abs/2402.09353.
Only maps inside the transformer layers are adapted: a pooler does not reach the features.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from fewshot.encoders.layers import Stack, TrainedLayers, adapted_layers, find_stack
from fewshot.encoders.loading import is_quantised
from fewshot.errors import ConfigError, EncoderError
from fewshot.ranges import BELOW_ONE, POSITIVE, Range

_NAME = "default"  # peft's name of the only adapter
# A model is of the first family whose first name it has.
_FAMILIES = (
    ("query", "key", "value", "dense"),  # BERT and its kin: attention and feed-forward maps alike
    ("q", "k", "v", "o", "dense"),  # MPNet
    ("q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"),  # DistilBERT
    ("kv_a_proj_with_mqa", "q_proj", "q_a_proj", "q_b_proj", "kv_b_proj", "o_proj"),  # DeepSeek-V2, -V3
    ("q_proj", "v_proj"),  # Llama, Qwen2 and most decoders
)
_EXPERTS = frozenset({"gate", "gate_proj", "up_proj", "down_proj"})  # peft would adapt all experts of all layers
# The keys of peft's adapter_config.json that are needed, and those that may be absent.
_CONFIG = ("r", "lora_alpha", "lora_dropout", "target_modules", "layers_to_transform", "layers_pattern")
_OPTIONAL = {"use_rslora": False, "use_dora": False, "target_parameters": None}


@dataclass(frozen=True)
class LoRA(TrainedLayers):
    """Train low-rank updates of linear maps, and nothing else.

    Args:
        rank: of an update.
        alpha: an update is scaled by `alpha / rank`.
        rank_stabilised: scale by `alpha / sqrt(rank)` instead, so that ranks of 32 and more learn as fast.
        dora: train the lengths of the rows of a map apart from their directions; slower.
        dropout: share of an update's inputs that is dropped in training.
        targets: ends of the paths of the linear maps that are adapted; None is the choice for the model's family.
        experts: also give each expert of a mixture of experts its own update.
    """

    rank: int = 8
    alpha: float = 16.0
    rank_stabilised: bool = False
    dora: bool = False
    dropout: float = 0.0
    targets: Sequence[str] | None = None
    experts: bool = False

    kind: ClassVar[str] = "lora"

    RANGES: ClassVar[dict[str, Range]] = TrainedLayers.RANGES | {
        "rank": POSITIVE,
        "alpha": POSITIVE,
        "dropout": BELOW_ONE,
        "targets": (lambda targets: targets is None or len(targets) > 0, "at least one name (or null)"),
    }

    def out_of_range(self) -> dict[str, str]:
        """Name of each setting that cannot be used → what is expected of it."""
        clashes = [name for name in ("dropout", "dora") if self.experts and getattr(self, name)]
        return super().out_of_range() | dict.fromkeys(clashes, "0 or false beside experts=true")

    def place(self, backbone: nn.Module, model: str) -> "PlacedLoRA":
        """The updates for a backbone without any, named `model`, by the names and layers of its maps.

        Raises EncoderError if it has no known linear maps, ConfigError if it lacks a name in `targets`, or experts.
        """
        stack = find_stack(backbone)
        layers = adapted_layers(stack, self.layers)
        config = {
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": _targets(stack, self.targets, model),
            "layers_to_transform": list(layers),
            "layers_pattern": stack.path.rpartition(".")[2],
            "use_rslora": self.rank_stabilised,
            "use_dora": self.dora,
            "target_parameters": _experts(stack, layers, model) if self.experts else None,
        }
        return PlacedLoRA(config)


@dataclass(frozen=True)
class PlacedLoRA:
    """Low-rank updates placed in a backbone: `config` has the arguments of peft's `LoraConfig`."""

    config: Mapping[str, Any]

    KIND: ClassVar[str] = LoRA.kind
    TENSORS: ClassVar[str] = "adapter_model.safetensors"  # the names that peft looks for
    CONFIG: ClassVar[str] = "adapter_config.json"

    @property
    def scale(self) -> float:
        """The factor s of an update."""
        rank, alpha = self.config["r"], float(self.config["lora_alpha"])
        return alpha / (rank**0.5 if self.config["use_rslora"] else rank)

    @property
    def rank(self) -> int:
        """Rank of an update."""
        return int(self.config["r"])

    @property
    def is_plain(self) -> bool:
        """True if each update is a product of two matrices beside a linear map, without DoRA and without experts."""
        return not self.config["use_dora"] and not self.config["target_parameters"]

    @staticmethod
    def tensor_name(path: str, which: str) -> str:
        """Name in peft's files of the matrix A or B of the linear map at a path of the backbone."""
        return f"base_model.model.{path}.lora_{which}.weight"

    def maps(self, backbone: nn.Module, tensors: Collection[str]) -> dict[str, nn.Linear]:
        """The linear maps of a backbone that have tensors of these names, by path."""
        names = dict.fromkeys(name.removeprefix("base_model.model.").rpartition(".lora_")[0] for name in tensors)
        modules = dict(backbone.named_modules())
        return {path: modules[path] for path in names if isinstance(modules.get(path), nn.Linear)}

    def at_strength(self, strength: float) -> "PlacedLoRA":
        """The updates with the factor s multiplied by a strength from 0 to 1; ConfigError for another, or DoRA."""
        if not 0 <= strength <= 1 or self.config["use_dora"]:
            why = "with DoRA, whose lengths have no scale" if 0 <= strength <= 1 else "expected a number from 0 to 1"
            raise ConfigError(f"Got strength={strength}, {why}. Set it to 1, or between where there is no DoRA.")
        return PlacedLoRA({**self.config, "lora_alpha": strength * self.config["lora_alpha"]})

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "PlacedLoRA":
        """The inverse of `to_json`; KeyError if a key is missing."""
        optional = {name: content.get(name, default) for name, default in _OPTIONAL.items()}
        return cls({name: content[name] for name in _CONFIG} | optional)

    def to_json(self, model: str) -> dict[str, Any]:
        """The content of peft's adapter_config.json."""
        return {"peft_type": "LORA", "base_model_name_or_path": model, "inference_mode": True, **self.config}

    def inject(self, backbone: nn.Module, generator: torch.Generator | None = None) -> Any:
        """Put updates into a backbone, in place, and give peft's model around it; only updates are trained.

        `generator` draws the A matrices as peft would; None if they are overwritten anyway.
        """
        import peft

        with torch.random.fork_rng(devices=[]):  # peft draws A from the global generator
            model = peft.LoraModel(backbone, peft.LoraConfig(**self.config), _NAME)
        if generator is not None:
            for name, parameter in backbone.named_parameters():
                if ".lora_A." in name:
                    drawn = nn.init.kaiming_uniform_(torch.empty(parameter.shape), a=5**0.5, generator=generator)
                    parameter.data.copy_(drawn)
        return model

    def parameters(self, backbone: nn.Module) -> dict[str, nn.Parameter]:
        """The parameters of the updates, by their names in peft's files."""
        updates = {}
        for name, parameter in backbone.named_parameters():
            if ".lora_" in name:
                plain = f"base_model.model.{name.replace(f'.{_NAME}.', '.')}"
                updates[plain.removesuffix(".weight") if ".lora_magnitude_vector" in name else plain] = parameter
        return updates

    def withdraw(self, model: Any) -> None:
        """Take the updates out of what `inject` gave, in place, and leave the weights as they are."""
        _forget(model.unload())

    def settle(self, model: Any) -> None:
        """Merge the updates into copies of the weights, in place; beside weights in 4 bits they stay as they are."""
        if is_quantised(model):
            return
        for module in model.modules():
            if hasattr(module, "lora_A"):
                for parameter in module.get_base_layer().parameters(recurse=False):
                    parameter.data = parameter.data.clone()
        _forget(model.merge_and_unload())

    @staticmethod
    def is_scaled(name: str) -> bool:
        """True for the parameters that interpolation scales: B, which starts at zero, and lengths, but not A."""
        return ".lora_A." not in name


def _forget(backbone: Any) -> None:
    if hasattr(backbone, "peft_config"):
        del backbone.peft_config
    backbone.requires_grad_(True)


def _experts(stack: Stack, layers: tuple[int, ...], model: str) -> list[str]:
    """Paths of the fused weights of the experts, `[experts, out, in]`."""
    paths = [
        f"{stack.path}.{index}.{name}"
        for index in layers
        for name, parameter in stack.layers[index].named_parameters()
        if parameter.ndim == 3 and name.rpartition(".")[0].endswith("experts")
    ]
    if not paths:
        raise ConfigError(
            f"Got trainable.experts=true, but the layers of {model!r} that are trained hold no fused experts. Expected "
            f"a mixture of experts such as DeepSeek-V2. Set trainable.experts=false."
        )
    return paths


def _targets(stack: Stack, targets: Sequence[str] | None, model: str) -> list[str]:
    paths = {path for layer in stack.layers for path, module in layer.named_modules() if isinstance(module, nn.Linear)}
    present = {path.rpartition(".")[2] for path in paths}
    if targets is None:
        family = next((family for family in _FAMILIES if family[0] in present), None)
        if family is None:
            raise EncoderError(
                f"Encoder model {model!r} is of no family whose linear maps are known. Expected one of "
                f"{', '.join(sorted(present)) or 'none: it has no transformer layers'}. Set trainable.targets to some."
            )
        return [name for name in family if name in present]
    has_experts = any(path.endswith("experts") for layer in stack.layers for path, _ in layer.named_modules())
    for target in targets:
        if has_experts and target.rpartition(".")[2] in _EXPERTS:
            raise ConfigError(
                f"Got {target!r} in trainable.targets, which names the experts of {model!r}. Expected maps of the "
                f"attention. Set trainable.experts=true for the experts, and trainable.targets=null for the others."
            )
        if not any(path == target or path.endswith(f".{target}") for path in paths):
            raise ConfigError(
                f"Got {target!r} in trainable.targets, which is no linear map in the layers of {model!r}. Expected "
                f"some of {', '.join(sorted(present))}. Set trainable.targets to these, or null for the family's own."
            )
    return list(targets)
