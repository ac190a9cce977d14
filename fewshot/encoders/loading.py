"""Reading weights: the errors, the kernel of the attention, and published weights in 4 bits.

Source: Dettmers et al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs", https://arxiv.org/abs/2305.14314: the
4-bit normal float for the maps, its scales quantised once more, products in bfloat16, LoRA or adapters beside them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from fewshot.encoders.precision import fast_in_bfloat16
from fewshot.errors import ConfigError, EncoderError
from fewshot.progress import import_tqdm


def attention_kernel(max_length: int | None, device: torch.device) -> str | None:
    """`"eager"` for texts of up to 512 tokens on a CPU, where it is faster and has second derivatives, else None."""
    short = max_length is not None and max_length <= 512
    return "eager" if short and device.type == "cpu" else None


@contextmanager
def loading(model: str) -> Iterator[None]:
    """Wrap the calls that read a tokenizer or weights, to raise EncoderError with the user's name of the model."""
    import_tqdm()
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # transformers, tokenizers and safetensors have no common error
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
    if "weights_only" in str(error):  # torch advises to load with weights_only=False, which runs code of the file
        return (
            "its .bin weights hold more than tensors, so they were not read. Expected tensors only. "
            "Set encoder.model to a model with safetensors weights."
        )
    detail = " ".join(str(error).split())[:300].rstrip(".")
    return (
        f"{type(error).__name__}: {detail}. Expected config.json, tokenizer and safetensors weights of an "
        "architecture that transformers knows. Set encoder.model=/path/to/folder, or upgrade transformers."
    )


def check_quantisable(device: torch.device) -> None:
    """Refuse 4 bits with a ConfigError if the device is no CUDA GPU, or bitsandbytes is not installed."""
    missing = "this encoder runs on the CPU" if device.type != "cuda" else "bitsandbytes is not installed"
    if device.type != "cuda" or find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"Got encoder.quantise=4bit, but {missing}; 4 bits need a CUDA GPU and the package bitsandbytes. "
            f"Set encoder.quantise=null, or run on a GPU after `pip install bitsandbytes`."
        )


def loading_arguments(quantise: str | None, device: torch.device) -> dict[str, Any]:
    """Arguments of `from_pretrained` of transformers for `"4bit"`, or none; weights go to the device when read."""
    if quantise is None:
        return {}
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if fast_in_bfloat16(device) else torch.float32,
    )
    return {"quantization_config": config, "device_map": {"": str(device)}}


def is_quantised(module: nn.Module) -> bool:
    """True if any weights are packed into integers, so that nothing can be added to them."""
    return any(not parameter.is_floating_point() for parameter in module.parameters())
