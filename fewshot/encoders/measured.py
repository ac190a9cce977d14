"""The precision that is measured for an encoder when its weights are first loaded: that of `dtype` auto and int8."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders.int8 import processor, settle_int8, use_int8
from fewshot.encoders.precision import Choice, cast_parameters, settle


def measured_name(weights: torch.dtype, in_int8: bool = False) -> str:
    """The name of a measured precision in fingerprints; weights stored in 16 bits have another, as their buffers do."""
    return f"{'int8' if in_int8 else 'auto'}-{str(weights).removeprefix('torch.')}"


@dataclass(frozen=True)
class MeasuredPrecision:
    """The precision of an encoder, measured and chosen when `put_into` is first called.

    Args:
        key: names the weights and settings.
        folder: of the cache, where choices are kept; None keeps them in this process alone.
        target: of 16 bits where these are fast, else float32.
        in_int8: whether products in 8 bits are tried too.
    """

    key: str
    folder: Path | None
    target: torch.dtype
    in_int8: bool

    def read(self) -> torch.dtype | None:
        """The precision of the products; None if it is not chosen yet."""
        products = self._products.read() if self.in_int8 else None
        if self.in_int8 and products is None:
            return None
        return products if products == torch.int8 else self._floating()

    @property
    def name(self) -> str:
        """Name in fingerprints, once it is chosen."""
        floating = self._floating()
        assert floating is not None
        return measured_name(floating, self.read() == torch.int8)

    def put_into(
        self,
        backbone: nn.Module,
        dtype: torch.dtype,
        features: Callable[[], Float[Tensor, "n_sample dim"]],
        encode: Callable[[], Any],
    ) -> None:
        """Have a backbone compute in the precision, which is chosen now if it is not yet.

        Args:
            backbone: with weights of `dtype`.
            dtype: float32, or the target where the weights come in it.
            features: gives those of a sample, as the backbone is now.
            encode: what is timed.
        """
        precision = self.target if dtype == self.target else self._weights.read()
        if precision is None:
            precision = settle(backbone, self.target, features)
        elif dtype != precision:
            cast_parameters(backbone, precision)
        self._weights.write(precision)
        if not self.in_int8:
            return
        if self._products.read() is None:
            faster = settle_int8(backbone, features, encode)
            self._products.write(torch.int8 if faster else precision)
        elif self._products.read() == torch.int8:
            use_int8(backbone, features)

    def _floating(self) -> torch.dtype | None:
        """The precision of the weights and products that are not in 8 bits."""
        return self.target if self.target == torch.float32 else self._weights.read()

    @property
    def _weights(self) -> Choice:
        return Choice(self.key, self.folder)

    @property
    def _products(self) -> Choice:
        return Choice(f"{self.key}-int8-{processor()}", self.folder)
