"""Pretrained models that a source of texts runs, found and read as encoders are."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from fewshot.encoders.encoder import GPU_BUDGET
from fewshot.encoders.loading import loading
from fewshot.encoders.precision import resolve_device
from fewshot.encoders.source import locate
from fewshot.encoders.texts import by_tokens
from fewshot.encoders.tokens import TokenizedTexts, token_limit
from fewshot.errors import ConfigError, EncoderError, FewshotError
from fewshot.progress import track

_LONGEST = 512  # tokens of a text


@dataclass(frozen=True)
class Pretrained:
    """A model of transformers in float32 and eval mode, its tokenizer, its device, and its limit of tokens."""

    tokenizer: Any
    module: Any
    device: torch.device
    limit: int

    def batches(
        self, tokens: TokenizedTexts, per_batch: int, what: str, copies: int = 1
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Indices and inputs of texts of similar length: `per_batch` padded tokens on a CPU, `copies` of each made."""
        budget = per_batch * (1 if self.device.type == "cpu" else GPU_BUDGET) // copies
        with track(what, total=len(tokens.lengths), unit="texts") as advance:
            for indices in by_tokens(tokens.lengths, budget):
                yield indices, {name: tensor.to(self.device) for name, tensor in tokens.batch(indices).items()}
                advance(len(indices))


def load_pretrained(
    setting: str,
    head: str,
    model: str,
    revision: str | None,
    device: str,
    trust_remote_code: bool,
    pickled_weights: bool,
) -> Pretrained:
    """Read tokenizer and weights by the class `head` of transformers; `setting` is that of the model, for messages.

    Raises:
        EncoderError: there is no such model, it cannot be read, or it is not of the kind `head`.
        ConfigError: no such device, or a package that the tokenizer needs is missing.
    """
    import transformers

    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # how weights were matched is said below, if it matters
    try:
        torch_device = resolve_device(device)
        folder = locate(model, revision, trust_remote_code, pickled_weights).folder
        is_fast = (folder / "tokenizer.json").is_file()  # AutoTokenizer may rebuild it from the type of the model
        if any(folder.glob("*.spm")) and not is_fast and not find_spec("sentencepiece"):
            what = f"Model {model!r} cuts texts with SentencePiece, and that package is not installed."
            raise ConfigError(f"{what} Install it with: pip install sentencepiece")
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"), loading(model):
            kind = transformers.PreTrainedTokenizerFast if is_fast else transformers.AutoTokenizer
            tokenizer = kind.from_pretrained(folder, trust_remote_code=trust_remote_code)
            module, loading_info = getattr(transformers, head).from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=None if pickled_weights else True,  # None: first safetensors, then .bin
                weights_only=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
    except FewshotError as error:
        if "Unrecognized configuration class" in str(error):
            raise _other_kind(model, head, setting, "another architecture") from error
        group, _, name = setting.rpartition(".")  # the error is in the words of an encoder's settings
        settings = {"model": name, "revision": f"{name.removesuffix('model')}revision"}
        message = re.sub(r"(?<=\s)encoder\.(\w+)", lambda at: f"{group}.{settings.get(at[1], at[1])}", str(error))
        raise type(error)(message.replace("Encoder model", "Model", 1)) from error
    finally:
        transformers.logging.set_verbosity(level)
    missing = sorted(name for name in loading_info["missing_keys"] if name.endswith(".weight"))
    if missing:
        raise _other_kind(model, head, setting, f"saved without {', '.join(missing[:2])}")
    limit = token_limit(_LONGEST, tokenizer, module.config) or _LONGEST
    return Pretrained(tokenizer, module.eval().to(torch_device), torch_device, limit)


def _other_kind(model: str, head: str, setting: str, what: str) -> EncoderError:
    return EncoderError(f"Model {model!r} is not of the kind {head}: {what}. Set {setting} to a model of that kind.")
