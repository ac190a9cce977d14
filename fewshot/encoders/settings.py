"""The settings that all encoders share, in one place: constructors take their signatures from these fields."""

import inspect
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal

from fewshot.errors import ConfigError


@dataclass(eq=False, repr=False)
class EncoderSettings:
    """The settings of every encoder.

    Args:
        model: a folder, a hub id, or the bundled `"bundled/all-MiniLM-L6-v2"`.
        revision: branch, tag or commit of a hub model; None is the one in the local cache, else the newest.
        device: `"auto"` (GPU if there is one), `"cpu"`, `"cuda"`, …
        dtype: precision of the weights: `"auto"` (see `precision.settle`), `"float32"`, `"bfloat16"`, `"float16"`.
            Features are always float32, and so are weights while they are trained.
        max_length: maximum of tokens of a text, special ones included; None is what the model allows.
        tokens_per_batch: maximum of padded tokens in a batch on the CPU; a GPU takes `GPU_BUDGET` times as many.
        trust_remote_code: run Python code that comes with the model.
        pickled_weights: accept .bin weights, read by torch with weights_only=True; nothing is executed. Safetensors
            come first where a model has both.
        cache: folder for computed features; `"auto"` is `cache.default_folder()`, None is no cache.
        shallow_layer: hidden layer whose mean over tokens stands beside the embedding (see `pooling`); None: none;
            `"auto"`: 3 with the bundled model, for which that was measured, else none.
        shallow_weight: its length, when that of the embedding is 1.
        weights: folder that `TrainableEncoder.save` wrote; its weights replace the published ones.
        quantise: `"4bit"` keeps the published linear maps in 4 bits (see `loading`); None does not.
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
    shallow_layer: int | Literal["auto"] | None = "auto"
    shallow_weight: float = 0.6
    weights: str | Path | None = None
    quantise: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_length", "tokens_per_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"Got encoder.{name}={value}, expected a positive number of tokens.")
        if self.quantise is not None:
            check_word("quantise", self.quantise, ("4bit",))

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in self._arguments().items()}

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r})"


def check_word(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse a word that is none of the known ones, with a ConfigError that lists these."""
    if value not in known:
        raise ConfigError(
            f"Got encoder.{name}={value!r}, expected one of {', '.join(known)}. Set encoder.{name} to one."
        )
