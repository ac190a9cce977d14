"""The weights that training has changed: in memory, on disk, and on top of the published ones."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fewshot.encoders.bottleneck import Bottleneck
from fewshot.encoders.lora import LowRank
from fewshot.encoders.quantise import is_quantised
from fewshot.errors import ConfigError, EncoderError
from fewshot.storage import write_json, write_tensors

if TYPE_CHECKING:
    from fewshot.encoders.encoder import Encoder

FORMAT = 1
DESCRIPTION = "encoder.json"
CHANGED = "changed.safetensors"
BELOW = "below"  # folder of the weights that a later training started from
Adapter = LowRank | Bottleneck
ADAPTERS: dict[str, type[LowRank] | type[Bottleneck]] = {kind.KIND: kind for kind in (LowRank, Bottleneck)}


@dataclass(frozen=True)
class TrainedWeights:
    """What training has changed in a published model.

    Args:
        model: name of the published model.
        base: `Encoder.identity` of it.
        tensors: float32 on the CPU. Full fine-tuning: name inside the encoder's module → the new weights. Else the
            weights of the small parts; LoRA's by their names in peft's files.
        adapter: the small parts beside the published weights; None is full fine-tuning.
        below: what an earlier training had changed, where this one started from that.
        seen: `task`, `split` and `classes` that they were trained and selected on; empty where that is not known.
    """

    model: str
    base: str
    tensors: Mapping[str, Tensor] = field(repr=False)
    adapter: Adapter | None = None
    below: "TrainedWeights | None" = None
    seen: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of all that changes the features."""
        scale = None if self.adapter is None else self.adapter.scale
        below = [] if self.below is None else [self.below.digest]
        total = hashlib.sha256(json.dumps([FORMAT, self.base, scale, *below]).encode())
        for name, tensor in sorted(self.tensors.items()):
            total.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            total.update(tensor.contiguous().view(torch.uint8).numpy().data)
        return total.hexdigest()

    def check_base(self, encoder: "Encoder") -> None:
        """Refuse an encoder of another published model.

        Raises:
            EncoderError: with the names of both.
        """
        if encoder.identity != self.base:
            raise EncoderError(
                f"The trained weights belong to {self.model!r} ({self.base}), and the encoder is {encoder.model!r} "
                f"({encoder.identity}). Expected the model that they were trained from. "
                f"Set encoder.model={self.model}, or encoder.weights=null."
            )

    def put_into(self, encoder: "Encoder") -> None:
        """Change the weights of an encoder's module, which are the published ones in float32, in place.

        Published weights that change get memory of their own; whoever else holds them keeps them as they were.

        Raises:
            EncoderError: they belong to another model, or do not fit.
            ConfigError: weights in 4 bits cannot take what full fine-tuning or two trainings changed.
        """
        self.check_base(encoder)
        if is_quantised(encoder.backbone) and (self.adapter is None or self.below is not None):
            raise ConfigError(
                "Got encoder.quantise=4bit with weights that were trained in full, or twice, which 4 bits cannot take. "
                "Set encoder.quantise=null."
            )
        if self.below is not None:
            self.below.put_into(encoder)
        if self.adapter is None:
            parameters = dict(encoder.module.named_parameters())
            changed = {name: parameters[name] for name in self.tensors if name in parameters}
            for parameter in changed.values():
                parameter.data = parameter.data.clone()
            copy_into(changed, self.tensors)
            return
        adapted = self.adapter.inject(encoder.backbone)
        try:
            copy_into(self.adapter.parameters(encoder.backbone), self.tensors)
        except EncoderError:
            self.adapter.withdraw(adapted)
            raise
        self.adapter.settle(adapted)


def copy_into(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Overwrite parameters, in place, all of them or none.

    Raises:
        EncoderError: names or shapes differ.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    given = {name: tuple(value.shape) for name, value in values.items()}
    if shapes != given:
        name = min(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
        raise EncoderError(
            f"Trained weights do not fit the encoder: {name} is of shape {given.get(name, 'none')}, expected "
            f"{shapes.get(name, 'none')}. Use the settings that they were trained with (encoder.trainable, "
            "encoder.policy, encoder.lora_rank, encoder.lora_targets, encoder.adapter_dim)."
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])


def write_trained(folder: Path | str, weights: TrainedWeights, settings: Mapping[str, Any]) -> None:
    """Write trained weights to a folder; LoRA's can be read by peft as well.

    Args:
        folder: is made; what it held before is overwritten.
        weights: safetensors.
        settings: of the encoder, to read beside them; JSON.

    Raises:
        StorageError: the folder cannot be written.
    """
    folder = Path(folder)
    if weights.adapter is None:
        write_tensors(folder / CHANGED, weights.tensors)
    else:
        write_tensors(folder / weights.adapter.TENSORS, weights.tensors, metadata={"format": "pt"})
        write_json(folder / weights.adapter.CONFIG, weights.adapter.to_json(weights.model))
    if weights.below is not None:
        write_trained(folder / BELOW, weights.below, settings)
    # Last, and with the digest: a folder that was overwritten by half is noticed.
    description = {"format": FORMAT, "model": weights.model, "base": weights.base, "digest": weights.digest}
    description["kind"] = "full" if weights.adapter is None else weights.adapter.KIND
    stacked = {} if weights.below is None else {"below": BELOW}
    seen = {"seen": dict(weights.seen)} if weights.seen else {}
    write_json(folder / DESCRIPTION, description | stacked | seen | {"settings": dict(settings)})


def read_trained(folder: Path | str) -> TrainedWeights:
    """Read what `write_trained` wrote.

    Raises:
        EncoderError: the folder holds no trained weights, or damaged ones.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder).expanduser()
    advice = "Set encoder.weights to a folder that was saved whole, or to null."
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        below = read_trained(folder / BELOW) if "below" in description else None
        kind = None if description["kind"] == "full" else ADAPTERS[description["kind"]]
        adapter = None if kind is None else kind.from_json(json.loads((folder / kind.CONFIG).read_text("utf-8")))
        tensors = load_file(folder / (CHANGED if kind is None else kind.TENSORS))
        seen = dict(description.get("seen", {}))
        weights = TrainedWeights(description["model"], description["base"], tensors, adapter, below, seen)
        expected = description["digest"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise EncoderError(
            f"The folder {str(folder)!r} holds no trained encoder that can be read: {type(error).__name__}: {error}. "
            f"Expected {DESCRIPTION} and safetensors beside it. {advice}"
        ) from error
    if weights.digest != expected:
        raise EncoderError(
            f"The trained encoder in {str(folder)!r} is damaged: its digest is {weights.digest}, expected {expected}. "
            f"{advice}"
        )
    return weights
