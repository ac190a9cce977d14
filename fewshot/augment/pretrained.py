"""Pretrained models that a source of texts runs, found and read as encoders are."""

import inspect
import re
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch

from fewshot.encoders.encoder import GPU_BUDGET
from fewshot.encoders.loading import loading
from fewshot.encoders.precision import resolve_device
from fewshot.encoders.source import locate
from fewshot.encoders.tokens import token_limit
from fewshot.errors import ConfigError, EncoderError, FewshotError

_LONGEST = 512  # tokens of a text


@dataclass(frozen=True)
class Pretrained:
    """A model of transformers in float32 and eval mode, its tokenizer, its device, and most tokens of a text."""

    tokenizer: Any
    module: Any
    device: torch.device
    limit: int

    @property
    def accepted(self) -> frozenset[str]:
        """Names of the inputs that the model takes."""
        return frozenset(inspect.signature(self.module.forward).parameters)

    def budget(self, tokens_per_batch: int) -> int:
        """Padded tokens in a batch on this device, when there are `tokens_per_batch` on a CPU."""
        return tokens_per_batch * (GPU_BUDGET if self.device.type == "cuda" else 1)


@dataclass(frozen=True)
class Checkpoint:
    """Which weights a source runs, read by the class `head` of transformers; the rest is as its user gave it.

    Args:
        setting: name of `model` for the user, such as `augment.sources.contextual.model`.
    """

    model: str
    setting: str
    head: str
    revision: str | None
    device: str
    trust_remote_code: bool
    pickled_weights: bool

    def load(self) -> Pretrained:
        """Read tokenizer and weights; global random state stays as it is.

        Raises:
            EncoderError: there is no such model, it cannot be read, or it is not of the kind `head`.
            ConfigError: no such device, or a package that the tokenizer needs is missing.
        """
        try:
            return self._load()
        except FewshotError as error:  # in the words of an encoder's settings
            group, _, name = self.setting.rpartition(".")
            own = {"model": name, "revision": f"{name.removesuffix('model')}revision"}
            words = re.sub(r"(?<=\s)encoder\.(\w+)", lambda at: f"{group}.{own.get(at[1], at[1])}", str(error))
            raise type(error)(words.replace("Encoder model", "Model", 1)) from error

    def _load(self) -> Pretrained:
        import transformers

        device = resolve_device(self.device)
        folder = locate(self.model, self.revision, self.trust_remote_code, self.pickled_weights).folder
        is_fast = (folder / "tokenizer.json").is_file()  # AutoTokenizer may rebuild it from the type of the model
        if any(folder.glob("*.spm")) and not is_fast and not find_spec("sentencepiece"):
            raise ConfigError(
                f"Model {self.model!r} cuts texts with SentencePiece, and that package is not installed. Install it "
                f"with: pip install sentencepiece"
            )
        level = transformers.logging.get_verbosity()
        transformers.logging.set_verbosity_error()  # how weights were matched is said below, if it matters
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"), loading(self.model):
                kind = transformers.PreTrainedTokenizerFast if is_fast else transformers.AutoTokenizer
                tokenizer = kind.from_pretrained(folder, trust_remote_code=self.trust_remote_code)
                module, found = getattr(transformers, self.head).from_pretrained(
                    folder,
                    dtype=torch.float32,
                    use_safetensors=None if self.pickled_weights else True,  # None: first safetensors, then .bin
                    weights_only=True,
                    trust_remote_code=self.trust_remote_code,
                    output_loading_info=True,
                )
        except EncoderError as error:
            if "Unrecognized configuration class" not in str(error):
                raise
            raise self._other_kind("another architecture") from error
        finally:
            transformers.logging.set_verbosity(level)
        missing = sorted(name for name in found["missing_keys"] if name.endswith(".weight"))
        if missing:
            raise self._other_kind(f"saved without {', '.join(missing[:2])}")
        limit = token_limit(_LONGEST, tokenizer, module.config) or _LONGEST
        return Pretrained(tokenizer, module.eval().to(device), device, limit)

    def _other_kind(self, what: str) -> EncoderError:
        return EncoderError(
            f"Model {self.model!r} is not of the kind {self.head}: {what}. Set {self.setting} to a model of that kind."
        )
