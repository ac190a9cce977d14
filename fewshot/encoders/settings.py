"""The settings that all encoders share, in one place: constructors take their signatures from these fields."""

import inspect
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from fewshot.encoders.precision import DTYPES
from fewshot.ranges import POSITIVE, RISING, Range, RangedSettings, one_of, or_null, up_to

LONG_TEXTS = ("cut", "chunk", "chunk_max")


@dataclass(eq=False, repr=False)
class EncoderSettings(RangedSettings):
    """The settings of every encoder.

    Args:
        model: a folder, a hub id, or the bundled `"bundled/all-MiniLM-L6-v2"`.
        revision: branch, tag or commit of a hub model; None is the one in the local cache, else the newest.
        device: `"auto"` (GPU if there is one), `"cpu"`, `"cuda"`, …
        dtype: precision of the weights: `"auto"` (see `precision.settle`), `"float32"`, `"bfloat16"`, `"float16"`;
            `"int8"` is `"auto"` with products in 8 bits on a CPU where these are faster and close enough, measured
            when the weights are first loaded (see `int8.settle_int8`).
            Features are always float32, and so are weights while they are trained.
        max_length: maximum of tokens of a text, special ones included; None is what the model allows.
        tokens_per_batch: maximum of padded tokens in a batch on the CPU; a GPU takes `GPU_BUDGET` times as many.
        trust_remote_code: run Python code that comes with the model.
        pickled_weights: accept .bin weights, read by torch with weights_only=True; nothing is executed. Safetensors
            come first where a model has both.
        cache: folder for computed features; `"auto"` is `cache.default_folder()`, None is no cache.
        layers: numbers of the model's layers that are kept, bottom first, from 0; None keeps all. Without training the
            features are poor: it is for a student, see `fewshot.distill`.
        shallow_layer: hidden layer whose mean over tokens stands beside the embedding (see `pooling`); None: none;
            `"auto"`: 3 with the bundled model, for which that was measured (of `layers` the middle one), else none.
        shallow_weight: its length, when that of the embedding is 1.
        weights: folder that `TrainableEncoder.save` wrote; its weights replace the published ones.
        long_texts: what is read of a text of more than `max_length` tokens: `"cut"`: its beginning; `"chunk"`: all of
            it in pieces that overlap, whose mean counts; `"chunk_max"`: likewise, and a classifier takes the largest
            logit of each label over the pieces (see `long_texts`). Training reads the beginning.
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
    long_texts: str = "cut"
    layers: Sequence[int] | None = None

    GROUP: ClassVar[str] = "encoder"
    RANGES: ClassVar[dict[str, Range]] = {
        "tokens_per_batch": POSITIVE,
        "shallow_weight": up_to(1000.0),
        "max_length": or_null(POSITIVE),
        "dtype": one_of("auto", *DTYPES, "int8"),
        "quantise": or_null(one_of("4bit")),
        "long_texts": one_of(*LONG_TEXTS),
        "layers": or_null(RISING),
    }

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON can hold them."""
        values = {name: str(value) if isinstance(value, Path) else value for name, value in self._arguments().items()}
        return values | ({} if self.layers is None else {"layers": list(self.layers)})

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r})"
