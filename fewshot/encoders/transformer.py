"""A transformer checkpoint as encoder: DeepSeek, Qwen, Llama, BERT, or whatever `AutoModel` reads."""

import inspect
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders.encoder import Encoder
from fewshot.encoders.loading import attention_kernel, loading, loading_arguments
from fewshot.encoders.long_texts import Window
from fewshot.encoders.pooling import POOLINGS
from fewshot.encoders.precision import DTYPES, MEASURED
from fewshot.encoders.row_int8 import WEIGHTS, is_packed, read_packed
from fewshot.encoders.source import DEEPSEEK_SMALL, DEEPSEEK_SMALL_SHA256, check_bundled
from fewshot.encoders.tokens import TokenizedTexts, token_limit, tokenize
from fewshot.encoders.word_pieces import WordPieces
from fewshot.errors import EncoderError
from fewshot.ranges import Range, one_of


@dataclass(eq=False, repr=False)
class TransformerEncoder(Encoder):
    """`normalise(pool(hidden states of the last layer))`.

    A checkpoint stored in bfloat16 runs in it where that is fast; one stored in float32 is compared first
    (`precision.settle`).

    Args:
        model: `"bundled/deepseek-small"`, a folder or a hub id.
        pooling: `"mean"`, `"weighted_mean"`, `"last"` or `"cls"`, see `pooling`.
        attention: `"causal"` is the model's own attention (an encoder such as BERT sees both sides anyway);
            `"bidirectional"` lets each token of a decoder see later ones, which helps after training
            (LLM2Vec, BehnamGhader et al., 2024, https://arxiv.org/abs/2404.05961).
        normalize: scale features to length one.
        **settings: see `EncoderSettings`.
    """

    _: KW_ONLY
    pooling: str = "mean"
    attention: str = "causal"
    normalize: bool = True

    RANGES: ClassVar[dict[str, Range]] = Encoder.RANGES | {
        "pooling": one_of(*POOLINGS),
        "attention": one_of("causal", "bidirectional"),
    }

    @property
    def backbone(self) -> nn.Module:
        """The whole module."""
        return self.module

    def _settings(self) -> dict[str, Any]:
        return super()._settings() | {name: getattr(self, name) for name in ("pooling", "attention", "normalize")}

    def _loading_dtype(self, folder: Path) -> torch.dtype:
        if self.dtype in MEASURED and self._target != torch.float32:
            stored = self._config(folder).dtype
            if (DTYPES.get(stored) if isinstance(stored, str) else stored) == self._target:
                return self._target
        return super()._loading_dtype(folder)

    def _config(self, folder: Path) -> Any:
        with loading(self.model):
            from transformers import AutoConfig

            config = AutoConfig.from_pretrained(folder, trust_remote_code=self.trust_remote_code)
        config.use_cache = False  # no text is continued
        if self.attention == "bidirectional":
            config.is_causal = False  # read by the mask itself; the flag of the attention modules is not enough
        return config

    def _load(self, folder: Path, dtype: torch.dtype) -> nn.Module:
        if self.model == DEEPSEEK_SMALL:
            check_bundled(folder / WEIGHTS, DEEPSEEK_SMALL_SHA256, "fewshot-text")
        config = self._config(folder)
        with loading(self.model):
            from transformers import MODEL_MAPPING, AutoModel

            self._tokenizer = _tokenizer(folder, self.trust_remote_code)
            arguments = {
                "config": config,
                "dtype": dtype,
                "attn_implementation": attention_kernel(self.max_length, self._device),
                **loading_arguments(self.quantise, self._device),
            }
            if is_packed(folder):  # `AutoModel` insists on a folder
                weights = read_packed(folder)
                module = MODEL_MAPPING[type(config)].from_pretrained(None, state_dict=weights, **arguments)
            else:
                module = AutoModel.from_pretrained(
                    folder,
                    use_safetensors=None if self.pickled_weights else True,  # None: first safetensors, then .bin
                    weights_only=True,
                    trust_remote_code=self.trust_remote_code,
                    **arguments,
                )
            module = module.to(self._device)
        self._accepted = frozenset(inspect.signature(module.forward).parameters) | {"input_ids"}
        self._limit = token_limit(self.max_length, self._tokenizer, config)
        self._pieces = WordPieces.of(self._tokenizer)
        if self.attention == "bidirectional" and not _sees_later_tokens(module.eval()):
            raise EncoderError(
                f"Encoder model {self.model!r} of type {config.model_type!r} stays causal: a later token does not "
                "reach an earlier one. Expected a model whose mask follows config.is_causal. "
                "Set encoder.attention=causal."
            )
        return module

    def _tokenized(self, texts: Sequence[str]) -> TokenizedTexts:
        self.load()
        return tokenize(self._tokenizer, texts, self._limit, self._accepted, self._pieces)

    def _window(self) -> Window:
        self.load()
        return Window(self._tokenizer, self._limit, self._tokenizer.num_special_tokens_to_add())

    def _forward(self, batch: dict[str, Tensor]) -> Float[Tensor, "batch dim"]:
        hidden = self.module(**batch).last_hidden_state
        features = POOLINGS[self.pooling](hidden, batch["attention_mask"])
        return nn.functional.normalize(features, dim=-1) if self.normalize else features


def _tokenizer(folder: Path, trust_remote_code: bool) -> Any:
    """The tokenizer of the folder: `AutoTokenizer` goes by the model's type, wrong for DeepSeek-R1-Distill-Qwen."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if (folder / "tokenizer.json").is_file():
        return PreTrainedTokenizerFast.from_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)


def _sees_later_tokens(module: Any) -> bool:
    """True if the first of four tokens has a gradient by the last; with and without padding: kernels differ."""
    ids = torch.tensor([[3, 4, 5, 6, 0]], device=next(module.parameters()).device)
    for length in (4, 5):
        tokens = module.get_input_embeddings()(ids[:, :length]).detach().requires_grad_()
        mask = (ids[:, :length] > 0).long()
        first = module(inputs_embeds=tokens, attention_mask=mask).last_hidden_state[0, 0]
        (gradient,) = torch.autograd.grad(first.square().sum(), tokens)
        if not gradient[0, 3].any():
            return False
    return True
