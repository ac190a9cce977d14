"""An encoder in training: float32, with the chosen parameters trained, and interpolation with the published weights."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders.adapter import Adapter
from fewshot.encoders.encoder import Encoder
from fewshot.encoders.layers import Full, find_stack
from fewshot.encoders.lora import LoRA
from fewshot.encoders.precision import MEASURED, MIN_COSINE
from fewshot.encoders.texts import by_tokens
from fewshot.encoders.trained import TrainedWeights, write_trained
from fewshot.errors import ConfigError
from fewshot.randomness import child_generator

Trainable = LoRA | Adapter | Full  # the part of an encoder that is trained


@dataclass(frozen=True)
class TrainableShare:
    """Number of trained parameters of an encoder, and of all parameters; both include LoRA or adapters."""

    trained: int
    total: int

    @property
    def share(self) -> float:
        """Trained parameters per parameter, from 0 to 1."""
        return self.trained / self.total

    def __str__(self) -> str:
        return f"{self.trained:,} of {self.total:,} parameters are trained ({100 * self.share:.1f} %)"


class TrainableEncoder(nn.Module):
    """A copy of an encoder, in 32 bits, whose weights are trained; the encoder itself and its cache never change.

    A torch module for `accelerate`, `DistributedDataParallel` and `torch.func.functional_call`: the `parameters()` that
    require gradients are the trained ones. For mixed precision use autocast.

    Args:
        encoder: the start of the training; if its weights are trained ones already, these are "published" below.
        trainable: which of its weights are trained.
        generator: draws the first matrices of LoRA or of adapters; None: the same ones each time.
        seen: the texts that it is trained and selected on, see `TrainedWeights`.

    Raises:
        ConfigError: full training of weights in 4 bits, or an encoder without layers.
        EncoderError: the weights cannot be loaded, or the architecture is unknown.
    """

    def __init__(
        self,
        encoder: Encoder,
        trainable: Trainable,
        generator: torch.Generator | None = None,
        seen: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        check_trainable(encoder, trainable)
        self.published, self.trainable, self.seen = encoder, trainable, dict(seen or {})
        self.encoder = encoder.replace(dtype="float32", cache=None)
        self.module = self.encoder.load().requires_grad_(False)
        if trainable.encoder_dropout is not None:
            _set_dropout(self.module, trainable.encoder_dropout)
        if isinstance(trainable, Full):
            self._placed = None
            inside = {id(parameter) for parameter in self.backbone.parameters()}
            # Outside is a head on top, such as sentence-transformers' dense layer.
            outside = [parameter for parameter in self.module.parameters() if id(parameter) not in inside]
            for parameter in (*trainable.parameters(self.backbone, encoder.model), *outside):
                parameter.requires_grad_(True)
        else:
            self._placed = trainable.place(self.backbone, encoder.model)
            self._placed.inject(self.backbone, child_generator(0, "lora") if generator is None else generator)
        scaled = (lambda name: True) if self._placed is None else self._placed.is_scaled
        self._start = _copied({name: p for name, p in self._trained().items() if scaled(name)})
        self._end: dict[str, Tensor] | None = None  # the trained weights, while interpolated ones are in the module
        self._autocast: bool | None = None  # True if `compute` may use it

    @property
    def backbone(self) -> nn.Module:
        """The transformer inside `module`."""
        return self.encoder.backbone

    @property
    def trainable_share(self) -> TrainableShare:
        """Number of trained and of all parameters now."""
        trained = sum(parameter.numel() for parameter in self._trained().values())
        return TrainableShare(trained, sum(parameter.numel() for parameter in self.parameters()))

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """The input of `forward`, see `Encoder.tokenize`."""
        return self.encoder.tokenize(texts)

    def forward(self, batch: dict[str, Tensor]) -> Float[Tensor, "batch dim"]:
        """One differentiable pass, see `Encoder.embed`."""
        return self.encoder.embed(batch)

    def embed_texts(self, texts: Sequence[str], tokens_per_pass: int = 1024) -> Float[Tensor, "n_texts dim"]:
        """Differentiable features, float32 on the encoder's device; texts of similar length share a pass."""
        tokens, rows = self.tokenize(texts), []
        lengths = tokens["attention_mask"].sum(1)
        passes = by_tokens(lengths.tolist(), tokens_per_pass)
        for part in passes:
            longest = int(lengths[part].max())
            rows.append(self({name: column[part, :longest] for name, column in tokens.items()}))
        order = torch.tensor([index for part in passes for index in part]).argsort()
        return torch.cat(rows).float()[order.to(rows[0].device)]

    def compute(
        self, texts: Sequence[str], advance: Callable[[int], None] | None = None
    ) -> Float[Tensor, "n_texts dim"]:
        """Features by the current weights, in mixed precision if the encoder has 16 bits and features stay the same."""
        target = self.published._target
        if target == torch.float32:
            return self.encoder.compute(texts, advance)
        mixed = torch.autocast(self.published._device.type, target)
        if self._autocast is None:
            exact = self.encoder.sampled()
            with mixed:
                cosines = torch.cosine_similarity(exact, self.encoder.sampled())
            self._autocast = self.published.dtype not in MEASURED or cosines.min().item() > MIN_COSINE
        with mixed if self._autocast else nullcontext():
            return self.encoder.compute(texts, advance)

    def parameter_groups(
        self, learning_rate: float, decay: float = 1.0, weight_decay: float = 0.0
    ) -> list[dict[str, Any]]:
        """Groups for an optimiser, with smaller steps for lower layers.

        `rate(layer) = learning_rate * decay ** (layers above it)`; parts above the layers have the full rate. Biases
        and norms have no weight decay. The top layer comes first.

        Raises:
            ConfigError: `decay` is not above 0 and up to 1.

        Source: Howard and Ruder 2018, "Universal Language Model Fine-tuning", https://arxiv.org/abs/1801.06146,
            section 3.2, discriminative fine-tuning.
        """
        if not 0 < decay <= 1:
            raise ConfigError(f"Got a layer-wise decay of {decay}, expected a number above 0 and up to 1.")
        stack = find_stack(self.backbone)
        indices = {id(p): stack.index(name) for name, p in self.backbone.named_parameters()}
        groups: dict[tuple[int, bool], list[Tensor]] = {}
        for parameter in self._trained().values():
            index = indices.get(id(parameter))
            depth = 0 if index is None else len(stack.layers) - 1 - index
            groups.setdefault((depth, parameter.ndim > 1), []).append(parameter)
        return [
            {"params": groups[key], "lr": learning_rate * decay ** key[0], "weight_decay": weight_decay * key[1]}
            for key in sorted(groups)
        ]

    def interpolate(self, share: float) -> None:
        """Put the weights between the published and the trained ones: `published + share * (trained - published)`.

        It keeps the published model's knowledge of texts unlike those of the training. Of LoRA and adapters the update
        is scaled. `interpolate(1)` gives the trained weights back to the bit; call it before further training.

        Raises:
            ConfigError: the share is not from 0 to 1.

        Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT),
            https://arxiv.org/abs/2109.01903.
        """
        if not 0 <= share <= 1:
            raise ConfigError(f"Got an interpolation share of {share}, expected a number from 0 to 1.")
        parameters = {name: p for name, p in self._trained().items() if name in self._start}
        if self._end is None:
            self._end = _copied(parameters)
        for name, parameter in parameters.items():
            parameter.data.copy_(torch.lerp(self._start[name], self._end[name], share))
        if share == 1:
            self._end = None

    def squared_distance(self) -> Float[Tensor, ""]:
        """Squared distance from the published weights; with LoRA or adapters, of the parameters that start at zero."""
        parameters = self._trained()
        differences = [parameters[name] - start.to(parameters[name].device) for name, start in self._start.items()]
        return torch.stack([difference.square().sum() for difference in differences]).sum()

    def trained_weights(self) -> TrainedWeights:
        """The weights that differ from the published ones now, for `Encoder.with_trained`."""
        parameters = self._trained() if self._placed is None else self._placed.parameters(self.backbone)
        model, identity = self.published.model, self.published.identity
        return TrainedWeights(model, identity, _copied(parameters), self._placed, self.published.trained, self.seen)

    def merged(self) -> Encoder:
        """An encoder with the weights as they are now, and the published model's settings, precision and speed.

        LoRA is merged into the weights; adapters stay beside them. Later training does not change it.
        """
        return self.published.with_trained(self.trained_weights())

    def save(self, folder: Path | str) -> None:
        """Write the trained weights and settings to a folder for `encoder.weights`; see `write_trained`."""
        write_trained(folder, self.trained_weights(), self.published.settings())

    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in self.module.named_parameters() if parameter.requires_grad}


def check_trainable(encoder: Encoder, trainable: Trainable) -> None:
    """Refuse full training of weights in 4 bits, and any of an encoder without layers, with a ConfigError."""
    if not encoder.HAS_LAYERS:
        raise ConfigError(
            f"Got trainable={trainable.kind} for the encoder {encoder.model!r}, which is a table of vectors without "
            f"layers. Expected a transformer. Set trainable=none and final_stage=head (stage='head' in Python)."
        )
    if encoder.quantise is not None and isinstance(trainable, Full):
        raise ConfigError(
            f"Got trainable=full with encoder.quantise={encoder.quantise}, but weights in 4 bits cannot be trained. "
            f"Set trainable=lora or adapter, or encoder.quantise=null."
        )


def _set_dropout(module: nn.Module, share: float) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = share
        if isinstance(getattr(part, "attention_dropout", None), float):  # decoders keep the number, not a module
            part.attention_dropout = share  # type: ignore[assignment]


def _copied(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, of the whole parameters if FSDP has spread them over processes."""
    whole = {name: p.full_tensor() if hasattr(p, "full_tensor") else p for name, p in parameters.items()}
    return {name: tensor.detach().cpu().clone() for name, tensor in whole.items()}
