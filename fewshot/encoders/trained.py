"""Trained weights: in memory, on disk, and on top of the published ones."""

import hashlib
import json
import logging
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fewshot.encoders.adapter import PlacedAdapter
from fewshot.encoders.compact import Digests, In16Bits
from fewshot.encoders.loading import is_quantised
from fewshot.encoders.lora import PlacedLoRA
from fewshot.encoders.row_int8 import PACKED, pack, unpack
from fewshot.errors import ConfigError, EncoderError
from fewshot.storage import UNREADABLE, read_sealed, read_tensors, write_json, write_sealed, write_tensors

log = logging.getLogger(__name__)
_DIGEST = re.compile("[0-9a-f]{12}")

FORMAT = 1
DESCRIPTION = "encoder.json"
CHANGED = "changed.safetensors"
RUN_FOLDER = "encoder"  # of the weights in the folder of a run
BELOW = "below"  # folder of the weights that a later training started from
_PLACED: dict[str, type[PlacedLoRA] | type[PlacedAdapter]] = {kind.KIND: kind for kind in (PlacedLoRA, PlacedAdapter)}
WRITTEN = (DESCRIPTION, CHANGED, BELOW, *(name for kind in _PLACED.values() for name in (kind.CONFIG, kind.TENSORS)))


@dataclass(frozen=True)
class TrainedWeights:
    """The weights of a published model that training has changed.

    Args:
        model: name of the published model.
        base: `Encoder.identity` of it.
        tensors: float32 on the CPU, whole numbers as they are. Full fine-tuning: name inside the encoder's module →
            the new weights. Else the weights of LoRA, by their names in peft's files, or of adapters.
        placed: LoRA or adapters beside the published weights; None is full fine-tuning.
        below: the weights of an earlier training that this one started from.
        seen: `task`, `split` and `digests` (see `Task.digests`) of what they were trained and selected on; empty if
            unknown.
        stored: precision in files: float32, 16 bits, or int8 with a step for each row (`row_int8`); set by `rounded`.
    """

    model: str
    base: str
    tensors: Mapping[str, Tensor] = field(repr=False)
    placed: PlacedLoRA | PlacedAdapter | None = None
    below: "TrainedWeights | None" = None
    seen: Mapping[str, Any] = field(default_factory=dict)
    stored: torch.dtype = torch.float32

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of all that changes the features."""
        scale = None if self.placed is None else self.placed.scale
        below = [] if self.below is None else [self.below.digest]
        total = hashlib.sha256(json.dumps([FORMAT, self.base, scale, *below]).encode())
        for name, tensor in sorted(self.tensors.items()):
            total.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            total.update(tensor.contiguous().view(torch.uint8).numpy().data)
        return total.hexdigest()

    def low_rank(self, placed: PlacedLoRA, backbone: nn.Module) -> list[tuple[nn.Linear, Tensor, Tensor]]:
        """Each linear map that has an update, with its A and B as stored; EncoderError if they do not fit."""
        stored = self.tensors.stored if isinstance(self.tensors, In16Bits) else self.tensors
        maps = placed.maps(backbone, stored)
        shapes: dict[str, tuple[int, ...]] = {}
        for path, linear in maps.items():
            shapes |= {placed.tensor_name(path, "A"): (placed.rank, linear.in_features)}
            shapes |= {placed.tensor_name(path, "B"): (linear.out_features, placed.rank)}
        check_shapes(shapes, stored)
        updates = []
        for path, linear in maps.items():
            down, up = (stored[placed.tensor_name(path, which)].to(linear.weight.device) for which in "AB")
            updates.append((linear, down, up))
        return updates

    def _merge(self, placed: PlacedLoRA, backbone: nn.Module) -> None:
        """Put sums of published weights and low-rank updates into a backbone; peft does the same, a second later."""
        for linear, down, up in self.low_rank(placed, backbone):
            update = (up.float() @ down.float()) * placed.scale
            linear.weight.data = linear.weight.data + update.to(linear.weight.dtype)

    def at_strength(self, strength: float) -> "TrainedWeights":
        """The scaled update; 0 gives the weights that it started from.

        Only the scale of LoRA's config changes, so nothing is read or copied.

        Raises:
            ConfigError: the weights are no LoRA, or one with lengths of its own (DoRA), or strength is not from 0 to 1.
        """
        if strength == 1:
            return self
        if not isinstance(self.placed, PlacedLoRA):
            raise ConfigError(
                f"Got strength={strength} for weights of {self.model!r} that are no LoRA; only an update beside the "
                f"weights can be scaled. Use strength=1, or train with trainable=lora."
            )
        return replace(self, placed=self.placed.at_strength(strength))

    def rounded(self, dtype: torch.dtype = torch.bfloat16) -> "TrainedWeights":
        """The weights rounded to the precision in which files will store them: 16 bits, or int8."""
        tensors, _ = _to_file(self.tensors, dtype)
        below = None if self.below is None else self.below.rounded(dtype)
        return replace(self, tensors=_from_file(tensors), below=below, stored=dtype)

    def compact(self) -> "TrainedWeights":
        """The same weights and digests in less memory: matrices in 16 bits if that is exact."""
        exact = all(torch.equal(tensor.bfloat16().float(), tensor) for tensor in self.tensors.values())
        seen, digests = self.seen, self.seen.get("digests")
        if isinstance(digests, list) and all(isinstance(d, str) and _DIGEST.fullmatch(d) for d in digests):
            seen = {**seen, "digests": Digests(digests)}
        return replace(self, tensors=In16Bits(self.tensors) if exact else self.tensors, seen=seen)

    def check_base(self, model: str, identity: str) -> None:
        """Refuse another published model, given by name and `Encoder.identity`, with an EncoderError."""
        if identity != self.base:
            raise EncoderError(
                f"The trained weights belong to {self.model!r} ({self.base}), and the encoder is {model!r} "
                f"({identity}). Expected the model that they were trained from. "
                f"Set encoder.model={self.model}, or encoder.weights=null."
            )
        if self.below is not None:
            self.below.check_base(model, identity)

    def count_seen(self, digests: Set[str]) -> int:
        """Number of texts and label names, given by `Task.digests`, that the weights were trained or selected on."""
        return len(digests & {*self.seen.get("digests", ())})

    def warn_of_seen(self, digests: Set[str]) -> None:
        """Warn if the weights were trained on some of these texts: a held-out accuracy is then too high."""
        if n_seen := self.count_seen(digests):
            log.warning(
                f"The encoder was trained on {n_seen} of these {len(digests)} texts, so that its accuracy on texts "
                f"held out says too much of new ones."
            )

    def put_into(self, module: nn.Module, backbone: nn.Module) -> None:
        """Replace published weights by trained ones; EncoderError if they do not fit, ConfigError if 4 bits cannot."""
        if is_quantised(backbone) and (self.placed is None or self.below is not None):
            raise ConfigError(
                "Got encoder.quantise=4bit with weights that were trained in full, or twice, which 4 bits cannot take. "
                "Set encoder.quantise=null."
            )
        if self.below is not None:
            self.below.put_into(module, backbone)
        if self.placed is None:
            parameters = dict(module.named_parameters())
            changed = {name: parameters[name] for name in self.tensors if name in parameters}
            for parameter in changed.values():
                parameter.data = parameter.data.clone()
            copy_into(changed, self.tensors)
            return
        if isinstance(self.placed, PlacedLoRA) and self.placed.is_plain and not is_quantised(backbone):
            self._merge(self.placed, backbone)
            return
        adapted = self.placed.inject(backbone)
        try:
            copy_into(self.placed.parameters(backbone), self.tensors)
        except EncoderError:
            self.placed.withdraw(adapted)
            raise
        self.placed.settle(adapted)


def copy_into(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Overwrite parameters, in place, all of them or none; EncoderError if names or shapes differ."""
    check_shapes({name: tuple(parameter.shape) for name, parameter in parameters.items()}, values)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])


def check_shapes(shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, Tensor]) -> None:
    """Refuse weights of other names or shapes with an EncoderError."""
    given = {name: tuple(value.shape) for name, value in values.items()}
    if shapes != given:
        name = min(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
        raise EncoderError(
            f"Trained weights do not fit the encoder: {name} is of shape {given.get(name, 'none')}, expected "
            f"{shapes.get(name, 'none')}. Set encoder.weights to a folder that was saved whole, or to null."
        )


def write_trained(folder: Path | str, weights: TrainedWeights, settings: Mapping[str, Any]) -> None:
    """Write trained weights and the encoder's settings to a folder, or raise StorageError.

    They are written as `weights.stored` says. peft can read LoRA's, except in int8.
    """
    folder = Path(folder)
    tensors, metadata = _to_file(weights.tensors, weights.stored)
    if weights.placed is None:
        write_tensors(folder / CHANGED, tensors, metadata)
    else:
        write_tensors(folder / weights.placed.TENSORS, tensors, {"format": "pt"} | metadata)
        write_json(folder / weights.placed.CONFIG, weights.placed.to_json(weights.model))
    if weights.below is not None:
        write_trained(folder / BELOW, weights.below, settings)
    # Last, and with the digest: a folder that was overwritten by half is noticed.
    description: dict[str, Any] = {"format": FORMAT, "model": weights.model, "base": weights.base}
    description |= {"digest": weights.digest, "kind": "full" if weights.placed is None else weights.placed.KIND}
    if weights.placed is not None:
        description["config"] = _json_digest(weights.placed.to_json(weights.model))
    if weights.below is not None:
        description["below"] = BELOW
    if weights.seen:
        values = weights.seen.items()
        description["seen"] = {name: list(value) if isinstance(value, Digests) else value for name, value in values}
    write_sealed(folder / DESCRIPTION, description | {"settings": dict(settings)})


def read_trained(folder: Path | str) -> TrainedWeights:
    """Read what `write_trained` wrote; EncoderError if the folder holds no trained weights, or damaged ones."""
    folder = Path(folder).expanduser()
    if not (folder / DESCRIPTION).is_file() and (folder / RUN_FOLDER / DESCRIPTION).is_file():
        log.info(f"The trained encoder of {folder} is read from {folder / RUN_FOLDER}")
        folder = folder / RUN_FOLDER
    advice = "Set encoder.weights to a folder that was saved whole, or to null."
    try:
        description = read_sealed(folder / DESCRIPTION)
        below = read_trained(folder / BELOW) if "below" in description else None
        kind = None if description["kind"] == "full" else _PLACED[description["kind"]]
        placed = None
        if kind is not None:
            config = json.loads((folder / kind.CONFIG).read_text("utf-8"))
            if description.get("config", _json_digest(config)) != _json_digest(config):  # earlier versions wrote none
                raise ValueError(f"{kind.CONFIG} is not as it was written")
            placed = kind.from_json(config)
        stored, metadata = read_tensors(folder / (CHANGED if kind is None else kind.TENSORS))
        weights = TrainedWeights(
            model=description["model"],
            base=description["base"],
            tensors=_from_file(stored),
            placed=placed,
            below=below,
            seen=dict(description.get("seen", {})),
            stored=_precision(stored, metadata),
        )
        expected = description["digest"]
    except UNREADABLE as error:
        raise EncoderError(
            f"The folder {str(folder)!r} holds no trained encoder that can be read: {type(error).__name__}: {error}. "
            f"Expected {DESCRIPTION} and safetensors beside it. {advice}"
        ) from error
    if weights.digest != expected:
        digests = f"its digest is {weights.digest}, expected {expected}"
        raise EncoderError(f"The trained encoder in {str(folder)!r} is damaged: {digests}. {advice}")
    return weights


def _json_digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _to_file(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file in that precision, and its metadata."""
    if dtype == torch.int8:
        return pack(tensors), PACKED
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}, {}


def _from_file(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in unpack(stored).items()}


def _precision(stored: Mapping[str, Tensor], metadata: Mapping[str, str]) -> torch.dtype:
    if metadata.get("packing") == PACKED["packing"]:
        return torch.int8
    return next((tensor.dtype for tensor in stored.values() if tensor.is_floating_point()), torch.float32)
