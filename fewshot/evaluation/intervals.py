"""Means over episodes with their 95 % intervals.

Sampled episodes count as independent. If a few supports are scored on one test part, the mean depends on the supports
and on the test texts, and the interval covers both, as that of a mean over two crossed factors:

    half^2 = (t s / sqrt(n))^2 + (z e)^2        e^2 = k / (k - 1) * sum_j (sum_i r_ij)^2 / N^2

with s the standard deviation of the means over n supports, t its quantile, r_ij the residual of text j with support i,
k texts and N residuals in all. The shared part is counted twice, which makes it a little wide.

Source: Cameron, Gelbach and Miller 2011, "Robust Inference with Multiway Clustering", equation 2.11, without its last
    term.
"""

import math
from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from scipy.special import ndtri, stdtrit
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes.

    Args:
        mean: the mean.
        ci95: half the width of the 95 % interval (Student's t); None for one episode, unless it is over texts.
        std: standard deviation over episodes; None for one episode.
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

    @classmethod
    def over_texts(
        cls, values: Float[Tensor, "episodes n_query"], texts: Int[Tensor, "episodes n_query"]
    ) -> "Estimate":
        """Estimate the mean over supports that are scored on the same texts, for other supports and other texts.

        Example:
            >>> import torch
            >>> Estimate.over_texts(torch.tensor([[1.0, 1.0, 1.0, 0.0]]), torch.arange(4)[None]).ci95  # 1.96 * 0.25
            0.4899...
        """
        values = values.double()
        over_supports = cls.of(values.mean(1))
        ids, places = texts.unique(return_inverse=True)
        residuals = (values - over_supports.mean).flatten()
        sums = residuals.new_zeros(len(ids)).index_add_(0, places.flatten(), residuals)
        error = float(sums.square().sum().sqrt()) / values.numel() * math.sqrt(len(ids) / max(1, len(ids) - 1))
        return replace(over_supports, ci95=math.hypot(over_supports.ci95 or 0.0, float(ndtri(0.975)) * error))

    def as_json(self) -> dict[str, float | None]:
        """Under its three keys, for `results.json`."""
        return {"mean": self.mean, "ci95": self.ci95, "std": self.std}

    def percent(self, sign: bool = False) -> str:
        """As "84.2 ± 0.5", in per cent."""
        plus = "+" if sign else ""
        interval = f" ± {100 * self.ci95:.1f}" if self.ci95 is not None else ""
        return f"{100 * self.mean:{plus}.1f}{interval}"


def paired_difference(ours: Float[Tensor, " episodes"], theirs: Float[Tensor, " others"]) -> Estimate:
    """Mean difference on the same episodes, with a narrower interval than either mean; ValueError if they differ."""
    if len(ours) != len(theirs):
        raise ValueError(f"Got {len(ours)} and {len(theirs)} episodes, expected the same ones twice.")
    return Estimate.of(ours.double() - theirs.double())
