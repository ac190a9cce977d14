"""The settings that all encoders share, in one place: constructors take their signatures from these fields."""

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from fewshot.errors import ConfigError


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
        trainable: what meta-training may change: `"none"`, `"lora"` (low-rank updates; Hu et al. 2021,
            https://arxiv.org/abs/2106.09685) or `"full"`. The table of token embeddings always stays as it is.
        policy: in which layers: `"all"`, or `"layered"`, see `layers.split`.
        lora_rank: rank of an update.
        lora_alpha: an update is scaled by `lora_alpha / lora_rank`.
        lora_dropout: share of an update's inputs that is left out in training.
        lora_targets: names of the linear maps that LoRA adapts; None is the choice for the family, see `lora`.
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
    lora_dropout: float = 0.0
    lora_targets: Sequence[str] | None = None
    dropout: float | None = None

    def __post_init__(self) -> None:
        self.lora_targets = None if self.lora_targets is None else list(self.lora_targets)
        check_word("trainable", self.trainable, ("none", "lora", "full"))
        check_word("policy", self.policy, ("all", "layered"))
        for name in ("max_length", "tokens_per_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"Got encoder.{name}={value}, expected a positive number of tokens.")
        if self.lora_rank < 1:
            raise ConfigError(f"Got encoder.lora_rank={self.lora_rank}, expected 1 or more. Set encoder.lora_rank=8.")
        if not self.lora_alpha > 0:
            raise ConfigError(f"Got encoder.lora_alpha={self.lora_alpha}, expected a number above 0.")
        for name in ("lora_dropout", "dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ConfigError(f"Got encoder.{name}={value}, expected a share from 0 to below 1.")


def check_word(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse a word that is none of the known ones.

    Raises:
        ConfigError: with all that are known.
    """
    if value not in known:
        raise ConfigError(
            f"Got encoder.{name}={value!r}, expected one of {', '.join(known)}. Set encoder.{name} to one."
        )
