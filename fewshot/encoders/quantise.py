"""Published weights in 4 bits: a large encoder on a small GPU, with LoRA or adapters in full precision beside them.

Source: Dettmers et al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs", https://arxiv.org/abs/2305.14314: the
4-bit normal float for the maps, its scales quantised once more, products in bfloat16.
"""

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from fewshot.encoders.precision import fast_in_bfloat16
from fewshot.errors import ConfigError


def check_quantisable(device: torch.device) -> None:
    """Refuse 4 bits with a ConfigError where the device is no GPU, or bitsandbytes is not installed."""
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
