"""Means over episodes with their 95 % intervals."""

import math
from dataclasses import dataclass

from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes.

    Args:
        mean: the mean.
        ci95: half the width of the 95 % interval (Student's t); None where one episode gives none.
        std: standard deviation over episodes; None where one episode gives none.
        n: number of episodes.
    """

    mean: float
    ci95: float | None
    std: float | None
    n: int

    @classmethod
    def of(cls, values: Float[Tensor, " episodes"]) -> "Estimate":
        """Estimate the mean of independent episodes.

        Example:
            >>> import torch
            >>> Estimate.of(torch.tensor([0.5, 0.7, 0.6, 0.6])).ci95  # 3.182 * 0.0816 / 2
            0.1299...
        """
        n = len(values)
        values = values.double()
        mean = float(values.mean())
        if n < 2:
            return cls(mean, None, None, n)
        std = float(values.std())
        return cls(mean, float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n), std, n)

    def percent(self, sign: bool = False) -> str:
        """As "84.2 ± 0.5", in per cent."""
        plus = "+" if sign else ""
        interval = f" ± {100 * self.ci95:.1f}" if self.ci95 is not None else ""
        return f"{100 * self.mean:{plus}.1f}{interval}"


def paired_difference(ours: Float[Tensor, " episodes"], theirs: Float[Tensor, "_"]) -> Estimate:
    """Mean difference on the same episodes; its interval is narrower than that of either mean.

    Raises:
        ValueError: different numbers of episodes.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"Got {len(ours)} and {len(theirs)} episodes, expected the same ones twice.")
    return Estimate.of(ours.double() - theirs.double())
