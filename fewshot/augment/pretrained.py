"""Pretrained models that a source of texts runs, found and read as encoders are."""

import inspect
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from fewshot.encoders.encoder import GPU_BUDGET
from fewshot.encoders.loading import loading
from fewshot.encoders.precision import resolve_device
from fewshot.encoders.source import locate
from fewshot.encoders.tokens import token_limit
from fewshot.errors import ConfigError, EncoderError, FewshotError

LONGEST = 512  # tokens of a text


@dataclass(frozen=True)
class Pretrained:
    """A model with its tokenizer, in float32 and eval mode.

    Args:
        tokenizer: of transformers.
        module: of transformers, on `device`.
        device: where it is.
        limit: most tokens of a text, special ones included.
    """

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
    """Which weights a source runs, and how its user calls them.

    Args:
        model: a folder, or a hub id.
        setting: where the user writes `model`, such as `augment.sources.contextual.model`; stands in messages.
        head: class of transformers that reads it, such as `AutoModelForMaskedLM`.
        task: what that class does, for messages.
        revision: branch, tag or commit on the hub.
        device: `"auto"`, `"cpu"`, `"cuda"`, …
        trust_remote_code: run Python code that comes with the model.
        pickled_weights: accept .bin weights, read by torch with weights_only=True.
    """

    model: str
    setting: str
    head: str
    task: str
    revision: str | None = None
    device: str = "auto"
    trust_remote_code: bool = False
    pickled_weights: bool = False

    def load(self) -> Pretrained:
        """Read tokenizer and weights; global random state stays as it is.

        Raises:
            EncoderError: there is no such model, it cannot be read, or it has no head for the task.
            ConfigError: no such device, or a package that the tokenizer needs is missing.
        """
        with _own_words(self.setting):
            device = resolve_device(self.device)
            folder = locate(self.model, self.revision, self.trust_remote_code, self.pickled_weights).folder
            self._check_sentencepiece(folder)
            with torch.random.fork_rng(devices=[]), _quiet(), loading(self.model):
                tokenizer = self._tokenizer(folder)
                module, missing = self._module(folder)
        if missing:
            raise EncoderError(
                f"Model {self.model!r} cannot be used to {self.task}: it was saved without the weights for that, "
                f"{', '.join(missing[:2])} among them. Expected a model of the kind {self.head}. Set {self.setting} "
                f"to one."
            )
        limit = token_limit(LONGEST, tokenizer, module.config) or LONGEST
        return Pretrained(tokenizer, module.eval().to(device), device, limit)

    def _tokenizer(self, folder: Path) -> Any:
        from transformers import AutoTokenizer, PreTrainedTokenizerFast

        if (folder / "tokenizer.json").is_file():  # AutoTokenizer may rebuild it from the type of the model
            return PreTrainedTokenizerFast.from_pretrained(folder)
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=self.trust_remote_code)

    def _module(self, folder: Path) -> tuple[Any, list[str]]:
        """The model, and the names of weights that it needs and that are not in the folder."""
        import transformers

        try:
            module, found = getattr(transformers, self.head).from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=None if self.pickled_weights else True,  # None: first safetensors, then .bin
                weights_only=True,
                trust_remote_code=self.trust_remote_code,
                output_loading_info=True,
            )
        except ValueError as error:
            if "Unrecognized configuration class" not in str(error):
                raise
            return None, ["all of them"]
        return module, sorted(name for name in found["missing_keys"] if name.endswith(".weight"))

    def _check_sentencepiece(self, folder: Path) -> None:
        if any(folder.glob("*.spm")) and not (folder / "tokenizer.json").is_file() and not find_spec("sentencepiece"):
            raise ConfigError(
                f"Model {self.model!r} cuts texts with SentencePiece, and that package is not installed. Install it "
                f"with: pip install sentencepiece"
            )


@contextmanager
def _own_words(setting: str) -> Iterator[None]:
    """Errors of the encoders' loader in the words of another setting."""
    group, _, name = setting.rpartition(".")
    own = {"model": name, "revision": f"{name.removesuffix('model')}revision"}

    def renamed(found: re.Match[str]) -> str:
        return f"{group}.{own.get(found[1], found[1])}"

    try:
        yield
    except FewshotError as error:
        message = re.sub(r"(?<=\s)encoder\.(\w+)", renamed, str(error)).replace("Encoder model", "Model", 1)
        raise type(error)(message) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' notices on how weights were matched from the user, who gets a sentence where it matters."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
