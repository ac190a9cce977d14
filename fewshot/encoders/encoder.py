"""The text → vector map: what every encoder promises."""

import hashlib
import inspect
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders.batching import in_batches
from fewshot.encoders.cache import FeatureCache, default_folder
from fewshot.encoders.precision import SAMPLE, resolve_device, resolve_dtype, settle
from fewshot.encoders.shallow import Shallow
from fewshot.encoders.source import Source, locate
from fewshot.encoders.tokens import Tokens
from fewshot.errors import ConfigError, EncoderError
from fewshot.progress import track

logger = logging.getLogger(__name__)

FORMAT = 1  # part of every fingerprint: raise it when the same settings begin to give other features
CHUNK = 8192  # texts between two visits to the disk, which is what an interrupted run loses at most
GPU_BUDGET = 32  # a GPU takes so many times the tokens of a CPU in one batch


class Encoder(ABC):
    """A text → vector map. Weights are loaded when they are first needed: if the cache has all, never.

    The frozen way is `encode`. A stage that trains the weights takes `load`, `tokenize` and `embed`, and asks
    `compute` how the trained module encodes; `encode` answers for the weights as they were published.

    Args:
        model: a folder, a hub id, or the bundled `"bundled/all-MiniLM-L6-v2"`.
        revision: branch, tag or commit of a hub model; None is the one in the local cache, else the newest.
        device: `"auto"` (GPU if there is one), `"cpu"`, `"cuda"`, …
        dtype: precision of the weights: `"auto"` (see `precision.settle`), `"float32"`, `"bfloat16"`, `"float16"`.
            Features are float32 whatever it is. Train in a fixed one: `encoder.replace(dtype="float32")`.
        max_length: most tokens of a text, special ones included, within what the model allows; None is all that.
        tokens_per_batch: most padded tokens in a batch on the CPU; a GPU takes `GPU_BUDGET` times as many.
        trust_remote_code: run Python code that comes with the model.
        pickled_weights: accept .bin weights, read by torch with weights_only=True; nothing is executed. Safetensors
            come first where a model has both.
        cache: folder for computed features; `"auto"` is `cache.default_folder()`, None is no cache.
        lora_targets: names of the linear maps that LoRA adapts; None leaves the choice to peft.
        shallow_layer: hidden layer whose mean over tokens stands beside the embedding (see `shallow`); None: none.
        shallow_weight: its length, when that of the embedding is 1.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        max_length: int | None = 256,
        tokens_per_batch: int = 1024,
        trust_remote_code: bool = False,
        pickled_weights: bool = False,
        cache: str | Path | None = "auto",
        lora_targets: Sequence[str] | None = None,
        shallow_layer: int | None = None,
        shallow_weight: float = 0.6,
    ):
        for name, value in (("max_length", max_length), ("tokens_per_batch", tokens_per_batch)):
            if value is not None and value < 1:
                raise ConfigError(f"Got encoder.{name}={value}, expected a positive number of tokens.")
        self.model = model
        self.revision = revision
        self.device = device
        self.dtype = dtype
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch
        self.trust_remote_code = trust_remote_code
        self.pickled_weights = pickled_weights
        self.cache = cache
        self.lora_targets = None if lora_targets is None else list(lora_targets)
        self._shallow = None if shallow_layer is None else Shallow(shallow_layer, shallow_weight)
        self.shallow_layer = shallow_layer
        self.shallow_weight = shallow_weight
        self.n_encoded = 0  # texts that went through the weights for `encode`, in this process
        self.n_truncated = 0  # of all that went through the weights, those that lost their end
        self._place = resolve_device(device)
        self._target = resolve_dtype(dtype, self._place)
        self._module: nn.Module | None = None
        self._unsettled = False

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that stand for the weights and all settings that change the features.

        Raises:
            EncoderError: the weights cannot be found.
        """
        content = {"format": FORMAT, "class": type(self).__name__, "weights": self._source.identity}
        text = json.dumps(content | self._settings(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def module(self) -> nn.Module:
        """The torch module, loaded if it was not."""
        return self.load()

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """The transformer inside `module`: what `dtype` casts and LoRA adapts."""

    def load(self) -> nn.Module:
        """Load the weights, once.

        Returns:
            The module, in eval mode.

        Raises:
            EncoderError: the weights cannot be found or read.
        """
        if self._module is None:
            dtype = self._loading_dtype(self._source.folder)
            # Weights that are first needed inside somebody's inference mode must be trainable all the same.
            with torch.inference_mode(False), torch.enable_grad():
                self._module = self._load(self._source.folder, dtype).eval()
            self._unsettled = dtype != self._target
            if self._shallow is not None:
                self._shallow.watch(self.backbone, self.model)
        return self._module

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """What `embed` takes: integers `[n_texts, tokens]`, padded on the right, cut at `max_length`."""
        return self._tokenized(texts).batch(range(len(texts)))

    def embed(self, batch: dict[str, Tensor]) -> Float[Tensor, "batch dim"]:
        """One differentiable forward pass, pooled in 32 bits.

        Args:
            batch: from `tokenize`, on any device.

        Returns:
            float32, on the encoder's device.
        """
        self.load()
        placed = {name: tensor.to(self._place) for name, tensor in batch.items()}
        features = self._forward(placed)
        return features if self._shallow is None else self._shallow.beside(features, placed["attention_mask"])

    def encode(self, texts: Sequence[str]) -> Float[Tensor, "n_texts dim"]:
        """Features by the published weights: read from the cache, or computed and put there.

        Args:
            texts: may repeat; each distinct one is encoded once.

        Returns:
            float32 on the CPU, in the order of `texts`.

        Raises:
            EncoderError: the weights cannot be loaded, or give NaN or infinity.
            StorageError: the cache cannot be written.
        """
        if isinstance(texts, str):
            raise TypeError("encode takes a sequence of texts; got one text. Put it into a list.")
        if not texts:
            return self.compute(["."])[:0]
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        features = self._encode_distinct(list(places))
        return features if len(places) == len(texts) else features[[places[text] for text in texts]]

    def compute(
        self, texts: Sequence[str], advance: Callable[[int], None] | None = None
    ) -> Float[Tensor, "n_texts dim"]:
        """Features by the module as it is now, in eval mode and without the cache.

        Args:
            texts: at least one; a text that repeats is computed again.
            advance: called with the number of texts done, after each batch.

        Returns:
            float32 on the CPU, in the order of `texts`.

        Raises:
            EncoderError: a feature is NaN or infinite.
        """
        module = self.load()
        was_training = module.training
        module.eval()
        try:
            features = self._compute(texts, advance)
        finally:
            module.train(was_training)
        finite = features.isfinite().all(1)
        if not finite.all():
            text = texts[int((~finite).nonzero()[0])]
            raise EncoderError(
                f"Encoder model {self.model!r} with dtype={self.dtype} gave NaN or infinite features for the text "
                f"{text[:80]!r}; expected finite numbers. Set encoder.dtype=float32, or choose another model."
            )
        return features

    def replace(self, **settings: Any) -> "Encoder":
        """An encoder of the same kind, not loaded, with some constructor arguments changed."""
        names = inspect.signature(type(self)).parameters
        return type(self)(**({name: getattr(self, name) for name in names} | settings))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r})"

    @abstractmethod
    def _load(self, folder: Path, dtype: torch.dtype) -> nn.Module:
        """Load tokenizer and weights, the backbone's in `dtype`."""

    @abstractmethod
    def _tokenized(self, texts: Sequence[str]) -> Tokens:
        """Cut texts into tokens in one go."""

    @abstractmethod
    def _forward(self, batch: dict[str, Tensor]) -> Float[Tensor, "batch dim"]:
        """From a batch on the right device to float32 features."""

    def _settings(self) -> dict[str, Any]:
        """What changes the features, besides weights and class."""
        dtype = str(self._target).removeprefix("torch.")
        return {
            # "auto" may fall back to float32 and is then no exact bfloat16; close enough to share one cache.
            "dtype": f"auto-{dtype}" if self.dtype == "auto" else dtype,
            "max_length": self.max_length,
        } | ({} if self._shallow is None else {"shallow": [self.shallow_layer, self.shallow_weight]})

    def _loading_dtype(self, folder: Path) -> torch.dtype:
        """Precision to load in; `"auto"` starts in float32 and is settled on the first texts."""
        return torch.float32 if self.dtype == "auto" else self._target

    @property
    def _attention_kernel(self) -> str | None:
        """`"eager"` for short texts on a CPU, else the choice of transformers.

        It is faster there (by a fifth at 7 tokens, even at 30), and unlike the fused kernel it has the second
        derivative that meta-learning through the encoder takes.
        """
        short = self.max_length is not None and self.max_length <= 512
        return "eager" if short and self._place.type == "cpu" else None

    @cached_property
    def _source(self) -> Source:
        return locate(self.model, self.revision, self.trust_remote_code, self.pickled_weights)

    @cached_property
    def _features(self) -> FeatureCache | None:
        if self.cache is None:
            return None
        folder = default_folder() if self.cache == "auto" else Path(self.cache).expanduser()
        return FeatureCache(folder, self.fingerprint)

    def _encode_distinct(self, texts: list[str]) -> Float[Tensor, "n_texts dim"]:
        rows, missing = (None, list(range(len(texts)))) if self._features is None else self._features.lookup(texts)
        if rows is not None and not missing:
            return rows
        absent = [texts[index] for index in missing]
        self._settle(absent)
        computed = []
        with track("Encoding", total=len(absent), unit="texts") as advance:
            for start in range(0, len(absent), CHUNK):
                chunk = absent[start : start + CHUNK]
                computed.append(self.compute(chunk, advance))
                self.n_encoded += len(chunk)
                if self._features is not None:
                    self._features.store(chunk, computed[-1])
        if rows is None:
            return torch.cat(computed)
        rows[missing] = torch.cat(computed)
        return rows

    def _settle(self, texts: Sequence[str]) -> None:
        """Choose the precision of `dtype="auto"` on the first texts that are really encoded."""
        self.load()
        if self._unsettled:
            sample = texts[:: max(1, len(texts) // SAMPLE)][:SAMPLE]
            with torch.inference_mode(False):
                settle(self.backbone, self._target, lambda: self._compute(sample))
            self._unsettled = False

    def _compute(
        self, texts: Sequence[str], advance: Callable[[int], None] | None = None
    ) -> Float[Tensor, "n_texts dim"]:
        tokens = self._tokenized(texts)
        self._count_truncated(tokens.n_truncated, len(texts))

        def embed(indices: list[int]) -> Tensor:
            # Inference mode ends with the batch: a tensor made in it could not be trained on later.
            with torch.inference_mode():
                rows = self.embed(tokens.batch(indices))
            if advance is not None:
                advance(len(indices))
            return rows

        budget = self.tokens_per_batch * (GPU_BUDGET if self._place.type == "cuda" else 1)
        return in_batches(tokens.lengths, budget, embed)

    def _count_truncated(self, n_truncated: int, n_texts: int) -> None:
        if n_truncated and not self.n_truncated:
            logger.warning(
                "%d of %d texts are longer than the encoder reads (max_length=%s tokens) and were cut. "
                "Set encoder.max_length to a larger number, or to null for all that the model allows.",
                *(n_truncated, n_texts, self.max_length),
            )
        self.n_truncated += n_truncated
