"""16-bit weights where the hardware is faster with them and the features stay the same, else 32 bits.

For products in 8 bits see `fewshot.encoders.int8`.
"""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.errors import ConfigError, StorageError
from fewshot.storage import write_json

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MEASURED = ("auto", "int8")  # values of `dtype` for which the precision is measured
MIN_COSINE = 0.999  # to the float32 features, for each sampled text
_INT8 = {"int8": torch.int8}
# Texts of several lengths and kinds on which the precision is chosen: fixed, so that nobody's texts decide it.
SAMPLE = (
    "ok",
    "myocardial infarction",
    "Card declined",
    "What is my balance?",
    "2,4-dichlorophenoxyacetic acid",
    "The pump vibrates and leaks oil at the outlet flange.",
    "please transfer 250.00 EUR from savings to checking on 3 March",
    "Ich habe meine Karte verloren und brauche dringend eine neue.",
    "No entiendo por qué me cobraron dos veces.",
    "ERROR 0x80070057: The parameter is incorrect (code=87)",
    "an abnormal growth of tissue that has no purpose in the body",
    "I ordered two weeks ago, the parcel never came, nobody answers my mails, and now I want my money back today.",
)
_CHOSEN: dict[str, torch.dtype] = {}  # in this process


def resolve_device(device: str) -> torch.device:
    """A device by its name; `"auto"` is the GPU if there is one (CUDA, or Apple's), else the CPU.

    Raises:
        ConfigError: there is no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device(next((name for name, is_there in present.items() if is_there), "cpu"))
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(
            f"Got encoder.device={device!r}, expected auto, cpu, cuda, cuda:0 or mps. Set encoder.device=auto."
        ) from error
    if not present.get(resolved.type, True):
        raise ConfigError(f"Got encoder.device={device!r}, but PyTorch sees no GPU. Set encoder.device=auto, or cpu.")
    return resolved


def resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """A precision by its name, to try first; `"auto"`, and the floating-point part of `"int8"`, is bfloat16 if fast."""
    if dtype in MEASURED:
        return torch.bfloat16 if fast_in_bfloat16(device) else torch.float32
    return DTYPES[dtype]


def fast_in_bfloat16(device: torch.device) -> bool:
    """True if the device multiplies bfloat16 matrices in hardware (CPU: AVX512-BF16 or AMX)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and _cpu_has_bfloat16()


def _cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    try:
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    except (AttributeError, RuntimeError):  # an older torch; the file exists on Linux only
        flags = cpuinfo.read_text().split() if cpuinfo.is_file() else []
        return "avx512_bf16" in flags or "amx_bf16" in flags


@dataclass(frozen=True)
class Choice:
    """The precision that was measured to be best for an encoder, kept in this process and beside its cached features.

    Args:
        key: names the weights and settings.
        folder: of the cache; None keeps it in this process alone.
    """

    key: str
    folder: Path | None

    def read(self) -> torch.dtype | None:
        """The choice, or None if there is none that can be read."""
        if self.key not in _CHOSEN and self.folder is not None:
            try:
                _CHOSEN[self.key] = (DTYPES | _INT8)[json.loads(self._file.read_text())["precision"]]
            except (OSError, ValueError, KeyError, TypeError):
                return None
        return _CHOSEN.get(self.key)

    def write(self, precision: torch.dtype) -> None:
        """Keep the choice, in this process alone if the cache cannot be written."""
        if self.read() == precision:
            return
        _CHOSEN[self.key] = precision
        if self.folder is not None:
            with suppress(StorageError):
                write_json(self._file, {"precision": str(precision).removeprefix("torch.")})

    @property
    def _file(self) -> Path:
        assert self.folder is not None
        return self.folder / self.key / "precision.json"


def settle(
    backbone: nn.Module, dtype: torch.dtype, features: Callable[[], Float[Tensor, "n_sample dim"]]
) -> torch.dtype:
    """Cast a float32 backbone to `dtype` in place, and return its precision.

    It stays in float32 if a text of `SAMPLE` has `features` whose cosine to the exact ones is `MIN_COSINE` or less.
    """
    exact = features()
    originals = cast_parameters(backbone, dtype)
    cosine = torch.cosine_similarity(exact, features(), dim=1).min().item()
    if cosine > MIN_COSINE:  # False for NaN, too
        return dtype
    for parameter, original in originals:
        parameter.data = original
    name = str(dtype).removeprefix("torch.")
    log.info(
        f"The encoder runs in float32: in {name} its features of a sample have a cosine of {cosine:.4f} to the float32 "
        f"ones, and more than {MIN_COSINE} is asked for. Set encoder.dtype={name} to use it all the same."
    )
    return torch.float32


def cast_parameters(module: nn.Module, dtype: torch.dtype) -> list[tuple[nn.Parameter, Tensor]]:
    """Cast a module's floating-point parameters in place, and return each with the data it had.

    Buffers stay as they are: rotary frequencies and routing corrections lose too much in 16 bits.
    """
    originals = [(parameter, parameter.data) for parameter in module.parameters() if parameter.is_floating_point()]
    for parameter, data in originals:
        parameter.data = data.to(dtype)
    return originals
