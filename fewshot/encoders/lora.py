"""Low-rank updates of an encoder's linear maps, through peft.

    y = W x + (alpha / rank) B A x        A: [rank, in], B: [out, rank], B starts at 0

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685.
Only maps inside the transformer layers are adapted: a pooler does not reach the features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fewshot.encoders.layers import Stack, find_stack, split
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


@dataclass(frozen=True)
class Adapter:
    """What peft has to know to adapt a backbone.

    Args:
        rank: of an update.
        alpha: an update is scaled by `alpha / rank`.
        dropout: share of an update's inputs that is left out in training.
        targets: ends of the paths of the adapted maps.
        layers: numbers of the layers that they are in.
        stack: last name in the path of the list of layers, such as `layer`.
    """

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    layers: tuple[int, ...]
    stack: str

    @classmethod
    def of(cls, backbone: nn.Module, settings: EncoderSettings) -> "Adapter":
        """The adapter for a backbone.

        Args:
            backbone: the transformer, without adapters.
            settings: `lora_*` and `policy`; under `"layered"` only the layers that are not frozen are adapted.

        Raises:
            EncoderError: the backbone has no layers, or none of the known linear maps.
            ConfigError: a name in `lora_targets` is none of the linear maps in the layers.
        """
        stack = find_stack(backbone)
        first = split(len(stack.layers)).frozen if settings.policy == "layered" and stack.layers else 0
        targets, layers = _targets(stack, settings), range(first, len(stack.layers))
        name = stack.path.rpartition(".")[2]
        return cls(settings.lora_rank, settings.lora_alpha, settings.lora_dropout, targets, tuple(layers), name)

    @classmethod
    def from_peft(cls, content: Mapping[str, Any]) -> "Adapter":
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
        )

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
        }

    def inject(self, backbone: nn.Module, generator: torch.Generator | None = None) -> Any:
        """Put updates into a backbone, in place, that leave its features as they are; they alone are trained.

        Args:
            backbone: the transformer, without adapters.
            generator: draws the A matrices as peft would, but from a stream of their own; None where they are
                overwritten anyway.

        Returns:
            peft's model around the backbone, for `merge`.

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


def merge(model: Any) -> None:
    """Add the updates to the weights and take them out of the backbone, in place.

    Args:
        model: from `Adapter.inject`.
    """
    backbone = model.merge_and_unload()
    if hasattr(backbone, "peft_config"):
        del backbone.peft_config
    backbone.requires_grad_(True)


def adapter_parameters(backbone: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of the adapters, by the names that they have in peft's files."""
    named = backbone.named_parameters()
    return {f"base_model.model.{name.replace(f'.{_NAME}.', '.')}": p for name, p in named if ".lora_" in name}


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
                "Expected maps of the attention. Set encoder.lora_targets to null for the family's own."
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
