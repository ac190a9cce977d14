"""A sentence-transformers folder of the usual kind, read by transformers alone: it saves a second of imports.

    f = m / |m|        m = sum_t a_t h_t / sum_t a_t

`h_t` are the last hidden states of the tokens and `a_t` the attention mask; without a module `Normalize` f is m. The
parameters have the names, and the features the values, that sentence-transformers gives.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders.pooling import widen
from fewshot.encoders.source import sentence_modules

_ENCODERS = ("bert", "distilbert", "mpnet", "roberta", "xlm-roberta")  # loaded by their config alone
_KINDS = (("Transformer", "Pooling"), ("Transformer", "Pooling", "Normalize"))
_MEAN = {"pooling_mode_mean_tokens", "include_prompt"}
# What newer versions write of a transformer that reads tokens and gives its last hidden states.
_USUAL = {
    "transformer_task": "feature-extraction",
    "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
    "module_output_name": "token_embeddings",
    "do_lower_case": False,
}


@dataclass(frozen=True)
class PlainParts:
    """The modules of a folder.

    Args:
        normalised: whether features have length one.
        max_length: of a text, in tokens, where the folder limits it.
    """

    normalised: bool
    max_length: int | None

    @classmethod
    def of(cls, folder: Path) -> "PlainParts | None":
        """From a folder with a transformer and the mean over its tokens; None for all others."""
        modules = sentence_modules(folder)
        kinds = tuple(module["type"].rpartition(".")[2] for module in modules or ())
        if modules is None or kinds not in _KINDS or modules[0]["path"]:
            return None
        try:
            pooling = _json(folder / modules[1]["path"] / "config.json")
            config, limits = _json(folder / "config.json"), _json(folder / "sentence_bert_config.json")
            settings = folder / "config_sentence_transformers.json"
            prompts = _json(settings).get("prompts") if settings.is_file() else None
        except (OSError, ValueError, TypeError, AttributeError):  # sentence-transformers says what is wrong
            return None
        flags = {name for name, value in pooling.items() if value is True}
        mode = pooling.get("pooling_mode")
        is_mean = mode == "mean" if mode is not None else "pooling_mode_mean_tokens" in flags
        max_length = limits.pop("max_seq_length", None)
        if not is_mean or flags - _MEAN or any((prompts or {}).values()) or not limits.items() <= _USUAL.items():
            return None
        if config.get("model_type") not in _ENCODERS or config.get("auto_map"):
            return None
        return cls(len(kinds) == 3, max_length)


class PlainModel(nn.Sequential):
    """The transformer, and what is made of its hidden states, with the face of a `SentenceTransformer`.

    Args:
        folder: config, tokenizer and weights.
        parts: see above.
        **arguments: of transformers' `from_pretrained`.
    """

    prompts: ClassVar[dict[str, str]] = {}
    default_prompt_name: ClassVar[None] = None

    def __init__(self, folder: Path, parts: PlainParts, **arguments: Any):
        from transformers import AutoModel, AutoTokenizer

        model = AutoModel.from_pretrained(folder, local_files_only=True, **arguments)
        super().__init__(_Transformer(model), _Mean(parts.normalised))
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.max_seq_length = parts.max_length
        if parts.max_length is not None:
            self.tokenizer.model_max_length = parts.max_length


class _Transformer(nn.Module):
    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    @property
    def auto_model(self) -> nn.Module:
        """The transformer, by sentence-transformers' name."""
        return self.model

    @property
    def config(self) -> Any:
        """Of the transformer."""
        return self.model.config

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"token_embeddings": self.model(**batch)[0], "attention_mask": batch["attention_mask"]}


class _Mean(nn.Module):
    def __init__(self, normalised: bool):
        super().__init__()
        self.normalised = normalised

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        hidden = widen(batch["token_embeddings"])
        mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        features = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return {"sentence_embedding": normalize(features, dim=-1) if self.normalised else features}


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text("utf-8")))
