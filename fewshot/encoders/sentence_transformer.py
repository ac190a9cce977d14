"""A sentence-transformers model as encoder; by default the bundled MiniLM."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders.encoder import Encoder
from fewshot.encoders.loading import attention_kernel, loading, loading_arguments
from fewshot.encoders.long_texts import Window
from fewshot.encoders.plain_model import PlainModel, PlainParts
from fewshot.encoders.pooling import widen
from fewshot.encoders.precision import cast_parameters
from fewshot.encoders.row_int8 import is_packed
from fewshot.encoders.source import BUNDLED, Source, check_bundled, locate
from fewshot.encoders.texts import CHARACTERS_PER_TOKEN, TOKENIZING
from fewshot.encoders.tokens import Tokens, token_limit, tokenize
from fewshot.encoders.word_pieces import WordPieces
from fewshot.errors import EncoderError

_INPUTS = frozenset({"input_ids", "token_type_ids"})


@dataclass(eq=False, repr=False)
class SentenceTransformerEncoder(Encoder):
    """The model's own modules: the transformer in the chosen precision, pooling and the rest in 32 bits.

    Args:
        model: `"bundled/all-MiniLM-L6-v2"`, a folder, or a hub id (without organisation: sentence-transformers').
        **settings: see `EncoderSettings`.
    """

    model: str = BUNDLED

    @property
    def backbone(self) -> nn.Module:
        """The transformer inside the first module, or the first module itself if it holds none."""
        return _backbone(self.module)

    @cached_property
    def _source(self) -> Source:
        bare = "/" not in self.model and not Path(self.model).exists()
        model = f"sentence-transformers/{self.model}" if bare else self.model
        return locate(model, self.revision, self.trust_remote_code, self.pickled_weights, modules=True)

    def _load(self, folder: Path, dtype: torch.dtype) -> nn.Module:
        if self.model == BUNDLED:
            check_bundled(folder / "model.safetensors")
        if is_packed(folder):
            raise EncoderError(
                f"Encoder model {self.model!r} has weights in 8 bits, which sentence-transformers would misread. "
                f"Expected an ordinary folder. Set encoder=deepseek_small encoder.model={self.model}."
            )
        # Always float32: sentence-transformers would put the later modules into the first one's precision.
        arguments = {"dtype": torch.float32, "attn_implementation": attention_kernel(self.max_length, self._device)}
        arguments |= loading_arguments(self.quantise, self._device)
        parts = PlainParts.of(folder)
        module: Any
        with loading(self.model):
            if parts is not None:
                module = PlainModel(folder, parts, **arguments).to(self._device)
            else:
                module = self._sentence_transformer(folder, arguments)
        cast_parameters(_backbone(module), dtype)
        self._prompt = module.prompts.get(module.default_prompt_name) or ""
        self._plain = parts is not None or (not self._prompt and _reads_plain_tokens(module[0]))
        if self._plain:
            self._limit = token_limit(self.max_length, module.tokenizer, module[0].config)
            self._pieces = WordPieces.of(module.tokenizer)
        elif self.max_length is not None and isinstance(module.max_seq_length, int):  # static embeddings: infinite
            module.max_seq_length = min(self.max_length, module.max_seq_length)
        return module

    def _sentence_transformer(self, folder: Path, arguments: dict[str, Any]) -> Any:
        from sentence_transformers import SentenceTransformer

        module = SentenceTransformer(
            str(folder),
            device=str(self._device),
            trust_remote_code=self.trust_remote_code,
            local_files_only=True,
            model_kwargs=arguments,
        )
        module[0].register_forward_hook(_widen_outputs)
        return module

    def _tokenized(self, texts: Sequence[str]) -> Tokens:
        module: Any = self.module
        if self._plain:
            return tokenize(module.tokenizer, texts, self._limit, _INPUTS, self._pieces)
        window = self._window()
        max_characters = None if window is None or window.limit is None else CHARACTERS_PER_TOKEN * window.limit
        return _Preprocessed(module, [text[:max_characters] for text in texts], self._prompt)

    def _window(self) -> Window | None:
        module: Any = self.load()
        tokenizer: Any = getattr(module, "tokenizer", None)
        if not hasattr(tokenizer, "is_fast"):
            return None  # static embeddings, which read all of a text
        limit = self._limit if self._plain else module.max_seq_length
        prompt = len(tokenizer(self._prompt, add_special_tokens=False)["input_ids"]) if self._prompt else 0
        return Window(tokenizer, limit, tokenizer.num_special_tokens_to_add() + prompt)

    def _forward(self, batch: dict[str, Tensor]) -> Float[Tensor, "batch dim"]:
        return widen(self.module(dict(batch))["sentence_embedding"])


@dataclass(frozen=True)
class _Preprocessed:
    """Texts for first modules that need sentence-transformers' own, slower preprocessing, batch by batch."""

    module: Any
    texts: Sequence[str]
    prompt: str
    n_truncated: int = 0  # not known here

    @property
    def lengths(self) -> list[int]:
        """A guess, good enough to sort by."""
        return [1 + (len(self.prompt) + len(text)) // 4 for text in self.texts]

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The inputs of some texts."""
        with TOKENIZING:
            features = self.module.preprocess([self.texts[index] for index in indices], prompt=self.prompt or None)
        inputs = {name: value for name, value in features.items() if isinstance(value, Tensor)}
        if "prompt_length" in features:
            inputs["prompt_length"] = torch.tensor([features["prompt_length"]])
        return inputs


def _backbone(module: Any) -> nn.Module:
    return getattr(module[0], "auto_model", module[0])


def _reads_plain_tokens(first: Any) -> bool:
    """True if the first module is a text transformer that takes token ids and nothing else."""
    modalities = getattr(first, "modality_config", {})
    plain = modalities.get("text", {}).get("method") == "forward" and "message" not in modalities
    return plain and not getattr(first, "processing_kwargs", None) and first.tokenizer is not None


def _widen_outputs(module: nn.Module, args: Any, outputs: dict[str, Any]) -> dict[str, Any]:
    """Give 32 bits to pooling and the modules after it."""
    floats = {name for name, value in outputs.items() if isinstance(value, Tensor) and value.is_floating_point()}
    return {name: widen(value) if name in floats else value for name, value in outputs.items()}
