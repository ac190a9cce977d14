"""Low-rank updates of an encoder's linear maps, through peft.

    y = W x + s B A x        A: [rank, in], B: [out, rank], B starts at 0, s = alpha / rank

Rank-stabilised, s is alpha / sqrt(rank). With DoRA the map is m (W + s B A) / |W + s B A|, row by row, and the
lengths m, which start as those of W, are trained too.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685;
Kalajdzievski 2023, "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA",
https://arxiv.org/abs/2312.03732; Liu et al. 2024, "DoRA", https://arxiv.org/abs/2402.09353.
Only maps inside the transformer layers are adapted: a pooler does not reach the features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from fewshot.encoders.layers import Stack, adapted_layers, find_stack
from fewshot.encoders.quantise import is_quantised
from fewshot.encoders.settings import EncoderSettings
from fewshot.errors import ConfigError, EncoderError

_NAME = "default"  # of the only adapter, as peft wants one
# A family is known by the first name; of the others those count that are there.
_FAMILIES = (
    ("query", "key", "value", "dense"),  # BERT and its kin: attention and feed-forward maps alike
    ("q", "k", "v", "o", "dense"),  # MPNet
    ("q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"),  # DistilBERT
    ("kv_a_proj_with_mqa", "q_proj", "q_a_proj", "q_b_proj", "kv_b_proj", "o_proj"),  # DeepSeek-V2, -V3
    ("q_proj", "v_proj"),  # Llama, Qwen2 and most decoders
)

_EXPERTS = frozenset({"gate", "gate_proj", "up_proj", "down_proj"})  # peft would adapt all experts of all layers
_MAGNITUDE = ".lora_magnitude_vector"


@dataclass(frozen=True)
class LowRank:
    """What peft has to know to put low-rank updates into a backbone.

    Args:
        rank: of an update.
        alpha: an update is scaled by `scale`.
        dropout: share of an update's inputs that is left out in training.
        targets: ends of the paths of the adapted maps.
        layers: numbers of the layers that they are in.
        stack: last name in the path of the list of layers, such as `layer`.
        stabilised: scale by the root of the rank.
        dora: train the lengths of the rows apart from their directions.
        experts: paths of fused expert weights, `[experts, out, in]`, that get one update per expert.
    """

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    layers: tuple[int, ...]
    stack: str
    stabilised: bool = False
    dora: bool = False
    experts: tuple[str, ...] = ()

    KIND: ClassVar[str] = "lora"
    TENSORS: ClassVar[str] = "adapter_model.safetensors"  # the names that peft looks for
    CONFIG: ClassVar[str] = "adapter_config.json"

    @property
    def scale(self) -> float:
        """Factor of an update."""
        return self.alpha / (self.rank**0.5 if self.stabilised else self.rank)

    @classmethod
    def of(cls, backbone: nn.Module, settings: EncoderSettings) -> "LowRank":
        """The updates for a backbone.

        Args:
            backbone: the transformer, without updates.
            settings: `lora_*` and `policy`; under `"layered"` only the layers that are not frozen are adapted.

        Raises:
            EncoderError: the backbone has no layers, or none of the known linear maps.
            ConfigError: a name in `lora_targets` is none of the linear maps in the layers, or there are no experts.
        """
        stack = find_stack(backbone)
        layers = adapted_layers(stack, settings.policy)
        return cls(
            settings.lora_rank,
            settings.lora_alpha,
            settings.lora_dropout,
            _targets(stack, settings),
            layers,
            stack.path.rpartition(".")[2],
            settings.lora_rank_stabilised,
            settings.lora_dora,
            _experts(stack, layers, settings) if settings.lora_experts else (),
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "LowRank":
        """From peft's adapter_config.json.

        Raises:
            KeyError: something is missing.
        """
        return cls(
            content["r"],
            float(content["lora_alpha"]),
            float(content["lora_dropout"]),
            tuple(content["target_modules"]),
            tuple(content["layers_to_transform"]),
            content["layers_pattern"],
            content.get("use_rslora", False),
            content.get("use_dora", False),
            tuple(content.get("target_parameters") or ()),
        )

    def to_json(self, model: str) -> dict[str, Any]:
        """The content of peft's adapter_config.json."""
        return {"peft_type": "LORA", "base_model_name_or_path": model, "inference_mode": True} | self.to_peft()

    def to_peft(self) -> dict[str, Any]:
        """The arguments of peft's `LoraConfig`.

        Names and layers, not one pattern: for mixtures of experts peft cuts a pattern down to its last names.
        """
        return {
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": list(self.targets),
            "layers_to_transform": list(self.layers),
            "layers_pattern": self.stack,
            "use_rslora": self.stabilised,
            "use_dora": self.dora,
            "target_parameters": list(self.experts) or None,
        }

    def inject(self, backbone: nn.Module, generator: torch.Generator | None = None) -> Any:
        """Put updates into a backbone, in place, that leave its features as they are; they alone are trained.

        Args:
            backbone: the transformer, without updates.
            generator: draws the A matrices as peft would, but from a stream of their own; None where they are
                overwritten anyway.

        Returns:
            peft's model around the backbone, for `settle`.

        Raises:
            EncoderError: peft is not installed.
        """
        peft = _peft()
        with torch.random.fork_rng(devices=[]):  # peft draws A from the global generator
            model = peft.LoraModel(backbone, peft.LoraConfig(**self.to_peft()), _NAME)
        if generator is not None:
            for name, parameter in backbone.named_parameters():
                if ".lora_A." in name:
                    drawn = nn.init.kaiming_uniform_(torch.empty(parameter.shape), a=5**0.5, generator=generator)
                    parameter.data.copy_(drawn)
        return model

    def parameters(self, backbone: nn.Module) -> dict[str, nn.Parameter]:
        """The parameters of the updates, by the names that they have in peft's files."""
        return {_name_in_file(name): parameter for name, parameter in backbone.named_parameters() if ".lora_" in name}

    def withdraw(self, model: Any) -> None:
        """Take the updates out of the backbone again, in place, and leave its weights as they are.

        Args:
            model: from `inject`.
        """
        _forget(model.unload())

    def settle(self, model: Any) -> None:
        """Add the updates to the weights and take them out of the backbone, in place.

        The adapted weights get memory of their own first: whoever else holds the old ones keeps them as they were.
        Beside weights in 4 bits the updates stay, for rounded to 4 bits they would be lost.

        Args:
            model: from `inject`.
        """
        if is_quantised(model):
            return
        for module in model.modules():
            if hasattr(module, "lora_A"):
                for parameter in module.get_base_layer().parameters(recurse=False):
                    parameter.data = parameter.data.clone()
        _forget(model.merge_and_unload())

    @staticmethod
    def is_scaled(name: str) -> bool:
        """Whether a parameter moves on the way from published to trained weights.

        An update is a product B A, and B starts at zero: with A as it is, weights in between are scaled updates.
        """
        return ".lora_A." not in name


def _forget(backbone: Any) -> None:
    if hasattr(backbone, "peft_config"):
        del backbone.peft_config
    backbone.requires_grad_(True)


def _name_in_file(name: str) -> str:
    plain = f"base_model.model.{name.replace(f'.{_NAME}.', '.')}"
    return plain.removesuffix(".weight") if _MAGNITUDE in name else plain


def _peft() -> Any:
    """The package, imported when it is needed.

    Raises:
        EncoderError: it is not installed.
    """
    try:
        import peft as package
    except ImportError as error:
        raise EncoderError(
            "Low-rank updates of an encoder need the package peft, which is not installed. "
            "Run `pip install peft`, or set encoder.trainable=full."
        ) from error
    return package


def _experts(stack: Stack, layers: tuple[int, ...], settings: EncoderSettings) -> tuple[str, ...]:
    """Paths of the fused weights of the experts."""
    paths = tuple(
        f"{stack.path}.{index}.{name}"
        for index in layers
        for name, parameter in stack.layers[index].named_parameters()
        if parameter.ndim == 3 and name.rpartition(".")[0].endswith("experts")
    )
    if not paths:
        raise ConfigError(
            f"Got encoder.lora_experts=true, but the layers of {settings.model!r} that are trained hold no fused "
            "experts. Expected a mixture of experts such as DeepSeek-V2. Set encoder.lora_experts=false."
        )
    return paths


def _targets(stack: Stack, settings: EncoderSettings) -> tuple[str, ...]:
    paths = {path for layer in stack.layers for path, module in layer.named_modules() if isinstance(module, nn.Linear)}
    present = {path.rpartition(".")[2] for path in paths}
    if settings.lora_targets is None:
        for family in _FAMILIES:
            if family[0] in present:
                return tuple(name for name in family if name in present)
        raise EncoderError(
            f"Encoder model {settings.model!r} is of no family whose linear maps are known. Expected one of "
            f"{', '.join(sorted(present)) or 'none: it has no transformer layers'}. Set encoder.lora_targets to some."
        )
    has_experts = any(path.endswith("experts") for layer in stack.layers for path, _ in layer.named_modules())
    for target in settings.lora_targets:
        if has_experts and target.rpartition(".")[2] in _EXPERTS:
            raise ConfigError(
                f"Got {target!r} in encoder.lora_targets, which names the experts of {settings.model!r}. "
                "Expected maps of the attention. Set encoder.lora_experts=true for the experts, and "
                "encoder.lora_targets to null for the family's own maps."
            )
        if not any(path == target or path.endswith(f".{target}") for path in paths):
            raise ConfigError(
                f"Got {target!r} in encoder.lora_targets, which is no linear map in the layers of "
                f"{settings.model!r}. Expected some of {', '.join(sorted(present))}. "
                "Set encoder.lora_targets to these, or to null for the family's own."
            )
    if not settings.lora_targets:
        raise ConfigError("Got encoder.lora_targets=[], expected at least one name. Set it to null for the default.")
    return tuple(settings.lora_targets)
