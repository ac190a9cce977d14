"""Read weights from a folder without noise, and say in one sentence why it did not work."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from fewshot.errors import EncoderError


def attention_kernel(max_length: int | None, device: torch.device) -> str | None:
    """`"eager"` for texts of up to 512 tokens on a CPU, else the choice of transformers.

    It is faster there (by a fifth at 7 tokens, even at 30), and unlike the fused kernel it has the second derivative
    that meta-learning through the encoder takes.
    """
    short = max_length is not None and max_length <= 512
    return "eager" if short and device.type == "cpu" else None


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Wrap the calls that read a tokenizer or weights, to raise EncoderError with the user's name of the model."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # transformers, tokenizers and safetensors raise whatever they like
        raise EncoderError(f"Encoder model {model!r} could not be loaded: {_reason(error)}") from error
    finally:
        if bars:
            logging.enable_progress_bar()


def _reason(error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return (
            "it comes with Python code of its own, and running that is switched off (trust_remote_code=false). "
            "Expected a model that transformers knows. "
            "Read the code, then set encoder.trust_remote_code=true, or choose another encoder.model."
        )
    if "weights_only" in str(error):  # torch's own advice is to run whatever is in the file
        return (
            "its .bin weights hold more than tensors, so they were not read. Expected tensors only. "
            "Set encoder.model to a model with safetensors weights."
        )
    detail = " ".join(str(error).split())[:300].rstrip(".")
    return (
        f"{type(error).__name__}: {detail}. Expected config.json, tokenizer and safetensors weights of an "
        "architecture that transformers knows. Set encoder.model=/path/to/folder, or upgrade transformers."
    )
