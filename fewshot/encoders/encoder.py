"""The text → vector map: what every encoder promises."""

import hashlib
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders.cache import FeatureCache, default_folder, filled
from fewshot.encoders.int8 import TIMED, withdraw_int8
from fewshot.encoders.layers import keep_layers
from fewshot.encoders.loading import check_quantisable
from fewshot.encoders.long_texts import LongTexts, cut_message, is_reported
from fewshot.encoders.low_rank import ScaledUpdate, beside
from fewshot.encoders.measured import MeasuredPrecision, measured_name
from fewshot.encoders.named import NamedWeights
from fewshot.encoders.precision import MEASURED, SAMPLE, cast_parameters, resolve_device, resolve_dtype
from fewshot.encoders.texts import checked_texts
from fewshot.encoders.tokens import Tokens, check_finite, in_batches
from fewshot.progress import track

log = logging.getLogger(__name__)

CHUNK = 8192  # texts that are stored at once; an interrupted run loses no more
GPU_BUDGET = 32  # tokens in a batch on a GPU, as a multiple of those on the CPU
_LOADING = threading.RLock()  # for all encoders: one with its own lock could not be copied


@dataclass(eq=False, repr=False)
class Encoder(NamedWeights, LongTexts, ABC):
    """A text → vector map. Weights are loaded when they are first needed: if the cache has all, never.

    Nothing is trained here. A trainer makes a `TrainableEncoder`, which never touches the cache; its `merged` is an
    encoder with the trained weights and a fingerprint of its own.

    Settings: see `EncoderSettings`.

    Attributes:
        HAS_LAYERS: whether it has layers, of which training can change some.
    """

    HAS_LAYERS: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.n_encoded = 0  # texts that went through the weights for `encode`, in this process
        self.n_truncated = 0  # of all that went through the weights, those that lost their end
        self.layers = None if self.layers is None else tuple(self.layers)
        self._device = resolve_device(self.device)
        self._target = resolve_dtype(self.dtype, self._device)
        if self.quantise is not None:
            check_quantisable(self._device)
        self._module: nn.Module | None = None
        self._is_loaded = False  # True once the module has the weights
        # If several encoders share a module (`fewshot.encoders.shared` and `.unmerged`): the function that puts the
        # weights of this one into it; or the encoder that owns the module, and the update beside its weights.
        self._activate: Callable[[Encoder], None] | None = None
        self._host: Encoder | None = None
        self._update: ScaledUpdate | None = None

    @property
    def fingerprint(self) -> str:
        """16 hex digits for the weights and all settings that change the features; EncoderError without weights."""
        of_pieces = self._piece_fingerprint
        return of_pieces if self.long_texts == "cut" else hashlib.sha256(f"{of_pieces} chunk".encode()).hexdigest()[:16]

    @cached_property
    def _piece_fingerprint(self) -> str:
        """The fingerprint of the features in the cache, one piece of text each; the precision is of the first call."""
        precision, measured = self.precision, (self._host or self)._measured
        return self._fingerprint(str(precision).removeprefix("torch.") if measured is None else measured.name)

    @property
    def portable_fingerprint(self) -> str:
        """The fingerprint in 32 bits with `long_texts="cut"`: the same on every machine."""
        return self.replace(dtype="float32", long_texts="cut").fingerprint

    @property
    def precision(self) -> torch.dtype:
        """The precision that the backbone runs in; one that is measured is chosen when the weights are first loaded."""
        if self._host is not None:
            return self._host.precision
        if self._measured is None:
            return self._target
        if self._measured.read() is None:
            self.load()
        chosen = self._measured.read()
        assert chosen is not None
        return chosen

    @property
    def module(self) -> nn.Module:
        """The torch module, loaded when first asked for."""
        return self.load()

    @property
    @abstractmethod
    def backbone(self) -> nn.Module:
        """The transformer inside `module`: what `dtype` casts and LoRA adapts."""

    def load(self) -> nn.Module:
        """The module, in eval mode, loaded once; EncoderError if its weights, or trained ones, cannot be used."""
        if self._activate is not None:
            self._activate(self)
        if not self._is_loaded:
            with _LOADING:
                if self._module is None:
                    self._read_weights()
                    self._is_loaded = True
        assert self._module is not None
        return self._module

    def _read_weights(self) -> None:
        folder = self._source.folder
        # Trained weights are float32, so the published ones are cast only once these are in.
        dtype = self._loading_dtype(folder) if self.trained is None else torch.float32
        try:
            # Weights that are first needed inside somebody's inference mode must be trainable all the same.
            with torch.inference_mode(False), torch.enable_grad():
                self._module = self._load(folder, dtype).eval()
            if self.layers is not None:
                keep_layers(self.backbone, self.layers, self.model)
            if self._shallow is not None:
                self._shallow.watch(self.backbone, self.model)
            self.put_weights(self._module, dtype)
        except BaseException:
            self._module = None  # a second call must not find the published weights
            raise

    def put_weights(self, module: nn.Module, dtype: torch.dtype) -> None:
        """Put trained weights into this encoder's module, whose weights are of `dtype`, and choose the precision."""
        if self.trained is not None:
            self.trained.check_base(self.model, self.identity)
            with torch.inference_mode(False), torch.enable_grad():
                self.trained.put_into(module, self.backbone)
        withdraw_int8(self.backbone)
        with torch.inference_mode(False):
            if self._measured is not None:
                timed = partial(self._compute, TIMED, None, None)
                self._measured.put_into(self.backbone, dtype, self.sampled, timed)
            elif dtype != self._target:
                cast_parameters(self.backbone, self._target)

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """The input of `embed`: integers `[n_texts, tokens]`, padded on the right, cut at `max_length`."""
        return self._tokenized(texts).batch(range(len(texts)))

    def embed(
        self, batch: dict[str, Tensor], updates: Sequence[ScaledUpdate | None] | None = None
    ) -> Float[Tensor, "batch dim"]:
        """One differentiable forward pass of what `tokenize` gave: float32, on the encoder's device.

        `updates` are those of each text, see `low_rank.beside`; None: the encoder's own, if it has one.
        """
        self.load()
        placed = {name: tensor.to(self._device) for name, tensor in batch.items()}
        with beside([self._update] if updates is None else updates):
            features = self._forward(placed)
        return features if self._shallow is None else self._shallow.beside(features, placed["attention_mask"])

    def encode(self, texts: Iterable[str]) -> Float[Tensor, "n_texts dim"]:
        """Features by the weights of the fingerprint, float32 on the CPU: from the cache, or computed and put there.

        Args:
            texts: a list, an array or a column; each distinct one is encoded once.

        Raises:
            EncoderError: the weights cannot be loaded, or give NaN or infinity.
            TypeError: something among them is no text.
        """
        texts = checked_texts(texts)
        return self._encode(texts) if self.long_texts == "cut" else self._mean_of_pieces(texts)

    def _encode(self, texts: list[str]) -> Float[Tensor, "n_texts dim"]:
        if not texts:
            return self.compute(["."])[:0]
        rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        features = filled(self._features, list(rows), self._encode_new)
        return features if len(rows) == len(texts) else features[[rows[text] for text in texts]]

    def compute(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None] | None = None,
        updates: Sequence[ScaledUpdate | None] | None = None,
    ) -> Float[Tensor, "n_texts dim"]:
        """Features of at least one text by the module as it is now, in eval mode and without the cache.

        They are float32 on the CPU, or EncoderError if one is NaN or infinite. `advance` is called with the number of
        texts done, after each batch; `updates` are those of each text, as for `embed`.
        """
        with _evaluating(self.load()):
            features = self._compute(texts, advance, updates)
        check_finite(features, texts, f"{self.model!r} with dtype={self.dtype}")
        return features

    def missing(self, texts: Sequence[str]) -> list[str]:
        """The texts, of distinct ones, whose features are not in the cache."""
        if self._features is None:
            return list(texts)
        return [texts[index] for index in self._features.lookup(texts)[1]]

    def sampled(self) -> Float[Tensor, "n_sample dim"]:
        """Features of the texts on which a precision is chosen, by the module as it is now, in eval mode."""
        with _evaluating(self.load()), torch.inference_mode():
            return self.embed(self.tokenize(SAMPLE))

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
        return super()._settings() | ({} if self._host is None else {"unmerged": True})

    def _loading_dtype(self, folder: Path) -> torch.dtype:
        """Precision to load in; one that is measured starts in float32."""
        return torch.float32 if self.dtype in MEASURED else self._target

    @cached_property
    def _features(self) -> FeatureCache | None:
        return None if self._cache_folder is None else FeatureCache(self._cache_folder, self._piece_fingerprint)

    @property
    def _cache_folder(self) -> Path | None:
        if self.cache is None:
            return None
        return default_folder() if self.cache == "auto" else Path(self.cache).expanduser()

    @property
    def _measured(self) -> MeasuredPrecision | None:
        """The precision that is measured, if the setting asks for that."""
        if self.dtype not in MEASURED:
            return None
        key = self._fingerprint(measured_name(self._target))
        return MeasuredPrecision(key, self._cache_folder, self._target, self.dtype == "int8")

    def _encode_new(self, texts: list[str]) -> Iterator[Float[Tensor, "n_part dim"]]:
        self.load()
        with track("Encoding", total=len(texts), unit="texts") as advance:
            for start in range(0, len(texts), CHUNK):
                part = self.compute(texts[start : start + CHUNK], advance)
                self.n_encoded += len(part)
                yield part

    def _compute(
        self,
        texts: Sequence[str],
        advance: Callable[[int], None] | None,
        updates: Sequence[ScaledUpdate | None] | None,
    ) -> Float[Tensor, "n_texts dim"]:
        tokens = self._tokenized(texts)
        if tokens.n_truncated and not self.n_truncated and self.long_texts == "cut" and not is_reported():
            limit = None if (window := self._window()) is None else window.limit
            log.warning(cut_message(tokens.n_truncated, len(texts), limit, "cut", "encoder.long_texts=chunk"))
        self.n_truncated += tokens.n_truncated

        def embed(indices: list[int]) -> Tensor:
            # Inference mode ends with the batch: a tensor made in it could not be trained on later.
            with torch.inference_mode():
                rows = self.embed(tokens.batch(indices), None if updates is None else [updates[i] for i in indices])
            if advance is not None:
                advance(len(indices))
            return rows

        budget = self.tokens_per_batch * (1 if self._device.type == "cpu" else GPU_BUDGET)
        return in_batches(tokens.lengths, budget, embed)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    if not any(part.training for part in module.modules()):  # setting eval mode again takes a millisecond
        yield
        return
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)
