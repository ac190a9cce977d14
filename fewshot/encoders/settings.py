"""The settings that all encoders share, in one place: constructors take their signatures from these fields."""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from fewshot.errors import ConfigError

# What has a part in how the weights are trained.
TRAINING_SETTINGS = (
    *("trainable", "policy", "lora_rank", "lora_alpha", "lora_rank_stabilised", "lora_dora", "lora_dropout"),
    *("lora_targets", "lora_experts", "adapter_dim", "quantise", "dropout"),
)


@dataclass(eq=False, repr=False)
class EncoderSettings:
    """What can be set on every encoder.

    Args:
        model: a folder, a hub id, or the bundled `"bundled/all-MiniLM-L6-v2"`.
        revision: branch, tag or commit of a hub model; None is the one in the local cache, else the newest.
        device: `"auto"` (GPU if there is one), `"cpu"`, `"cuda"`, …
        dtype: precision of the weights: `"auto"` (see `precision.settle`), `"float32"`, `"bfloat16"`, `"float16"`.
            Features are float32 whatever it is, and so are weights while they are trained.
        max_length: most tokens of a text, special ones included, within what the model allows; None is all that.
        tokens_per_batch: most padded tokens in a batch on the CPU; a GPU takes `GPU_BUDGET` times as many.
        trust_remote_code: run Python code that comes with the model.
        pickled_weights: accept .bin weights, read by torch with weights_only=True; nothing is executed. Safetensors
            come first where a model has both.
        cache: folder for computed features; `"auto"` is `cache.default_folder()`, None is no cache.
        shallow_layer: hidden layer whose mean over tokens stands beside the embedding (see `shallow`); None: none.
        shallow_weight: its length, when that of the embedding is 1.
        weights: folder that `TrainableEncoder.save` wrote; its weights stand in for the published ones.
        trainable: what training may change: `"none"`, `"lora"` (low-rank updates, see `lora`), `"adapter"` (small
            layers between the others, see `bottleneck`) or `"full"`. The table of token embeddings always stays. With
            `"auto"` a run decides, see `fewshot.plan.trains_encoder`; elsewhere that is none.
        policy: in which layers: `"all"`, or `"layered"`, see `layers.split`.
        lora_rank: rank of an update.
        lora_alpha: an update is scaled by `lora_alpha / lora_rank`.
        lora_rank_stabilised: scale by `lora_alpha / sqrt(lora_rank)` instead, so that large ranks learn as fast.
        lora_dora: train the lengths of the rows of a map apart from their directions.
        lora_dropout: share of an update's inputs that is left out in training.
        lora_targets: names of the linear maps that LoRA adapts; None is the choice for the family, see `lora`.
        lora_experts: give each expert of a mixture of experts an update of its own as well.
        adapter_dim: width of the small layers of `"adapter"`.
        quantise: `"4bit"` keeps the published linear maps in 4 bits (see `quantise`); None does not.
        dropout: the model's own dropout while it is trained; None leaves what the model was published with.
    """

    model: str
    _: KW_ONLY
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    max_length: int | None = 256
    tokens_per_batch: int = 1024
    trust_remote_code: bool = False
    pickled_weights: bool = False
    cache: str | Path | None = "auto"
    shallow_layer: int | None = None
    shallow_weight: float = 0.6
    weights: str | Path | None = None
    trainable: str = "none"
    policy: str = "all"
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_rank_stabilised: bool = False
    lora_dora: bool = False
    lora_dropout: float = 0.0
    lora_targets: Sequence[str] | None = None
    lora_experts: bool = False
    adapter_dim: int = 48
    quantise: str | None = None
    dropout: float | None = None

    def __post_init__(self) -> None:
        self.lora_targets = None if self.lora_targets is None else list(self.lora_targets)
        check_word("trainable", self.trainable, ("none", "auto", "lora", "adapter", "full"))
        check_word("policy", self.policy, ("all", "layered"))
        for name in ("max_length", "tokens_per_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"Got encoder.{name}={value}, expected a positive number of tokens.")
        for name, usual in (("lora_rank", 8), ("adapter_dim", 48)):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"Got encoder.{name}={getattr(self, name)}, expected 1 or more. Set encoder.{name}={usual}."
                )
        if not self.lora_alpha > 0:
            raise ConfigError(f"Got encoder.lora_alpha={self.lora_alpha}, expected a number above 0.")
        for name in ("lora_dropout", "dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ConfigError(f"Got encoder.{name}={value}, expected a share from 0 to below 1.")
        self._check_together()

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in self._arguments().items()}

    def training_settings(self) -> dict[str, Any]:
        """Of those, what has a part in how the weights are trained."""
        return {name: getattr(self, name) for name in TRAINING_SETTINGS}

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def _check_together(self) -> None:
        if self.lora_experts and (self.lora_dropout or self.lora_dora):
            name = "lora_dropout" if self.lora_dropout else "lora_dora"
            raise ConfigError(
                f"Got encoder.lora_experts=true with encoder.{name}={getattr(self, name)}, which updates of fused "
                f"experts cannot have. Leave one of them out."
            )
        if self.quantise is not None:
            check_word("quantise", self.quantise, ("4bit",))
            if self.trainable == "full":
                raise ConfigError(
                    "Got encoder.trainable=full with encoder.quantise=4bit, but weights in 4 bits cannot be trained. "
                    "Set encoder.trainable to lora or adapter, or encoder.quantise=null."
                )


def check_word(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse a word that is none of the known ones.

    Raises:
        ConfigError: with all that are known.
    """
    if value not in known:
        raise ConfigError(
            f"Got encoder.{name}={value!r}, expected one of {', '.join(known)}. Set encoder.{name} to one."
        )
