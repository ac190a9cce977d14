"""Means with their 95 % intervals: over draws of episodes, and over other texts and classes.

A mean of queries depends on the texts and classes of the sample.  Residuals r are alike within a text, which is in many
episodes, and within a class; of k clusters (texts, or classes) and N queries the half-width is

    half = t_{k-1} sqrt(k / (k - 1) * sum_clusters (sum r)^2) / N

which has the variance of the cluster bootstrap in closed form.  Texts overlap between the folds of a cross-validation,
so that its variance over texts is larger than it seems, by `1 / repeats + folds / (folds - 1)`.

An accuracy of n texts is a share: the half-width gives an effective number of texts, at most n, and the interval is
Wilson's, or with fewer than 30 texts the exact one of Clopper and Pearson. Neither is empty at 0 or 100 %.

Source: Cameron and Miller 2015, "A Practitioner's Guide to Cluster-Robust Inference", equation 11, for the clusters;
Nadeau and Bengio 2003, "Inference for the Generalization Error", section 3, for the folds; Wilson 1927, "Probable
Inference"; Clopper and Pearson 1934, "The use of confidence or fiducial limits".
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from jaxtyping import Float, Int
from scipy.special import betaincinv, ndtri, stdtrit
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch

_Z = float(ndtri(0.975))
_EXACT_BELOW = 30  # texts


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes.

    Args:
        mean: the mean.
        ci95: half the width of the 95 % interval over draws of episodes (Student's t); None for one episode, and if
            episodes share their texts by design.
        std: standard deviation over episodes; None for one episode.
        n: number of episodes.
        interval: 95 % interval of the mean for other texts, and other classes if these are drawn; None if the texts are
            unknown.
    """

    mean: float
    ci95: float | None
    std: float | None
    n: int
    interval: tuple[float, float] | None = None

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

    def as_json(self) -> dict[str, float | list[float] | None]:
        """The estimate for `results.json`."""
        interval = None if self.interval is None else list(self.interval)
        return {"mean": self.mean, "ci95": self.ci95, "std": self.std, "interval": interval}

    def percent(self, sign: bool = False) -> str:
        """The mean and `ci95` in per cent, such as "84.2 ± 0.5"."""
        plus = "+" if sign else ""
        interval = f" ± {100 * self.ci95:.1f}" if self.ci95 is not None else ""
        return f"{100 * self.mean:{plus}.1f}{interval}"


Drawn = Literal["sampled", "fixed_test", "cross_validation"]


@dataclass(frozen=True)
class Sample:
    """The texts and classes of the queries of some episodes, and the way in which the episodes were drawn.

    Args:
        drawn: `sampled` episodes, supports beside one `fixed_test` part, or the repeats of a `cross_validation`.
        texts: index of each query's text.
        classes: class of each query, if they are a sample of classes; None if there are no others.
        folds: of the cross-validation.
    """

    drawn: Drawn
    texts: Int[Tensor, "episodes n_query"]
    classes: Int[Tensor, "episodes n_query"] | None = None
    folds: int = 0

    @classmethod
    def of(cls, episodes: EpisodeBatch, drawn: Drawn = "sampled", other_classes: bool = True) -> "Sample":
        """From episodes; `other_classes`: True if their classes are a sample of classes."""
        classes = episodes.classes[..., None].expand(episodes.query.shape).flatten(1)
        return cls(drawn, episodes.query.flatten(1), classes if other_classes else None)

    def __getitem__(self, episodes: slice) -> "Sample":
        """The sample of some of the episodes."""
        classes = None if self.classes is None else self.classes[episodes]
        return replace(self, texts=self.texts[episodes], classes=classes)

    @property
    def n_texts(self) -> int:
        """Number of different texts."""
        return len(self.texts.unique())

    def share(self, values: Float[Tensor, "episodes n_query"]) -> Estimate:
        """Estimate a share from the contribution of each query, such as 1 or 0 for right or wrong.

        Example:
            >>> import torch
            >>> Sample("fixed_test", torch.arange(3)[None]).share(torch.ones(1, 3)).interval  # three of three
            (0.292..., 1.0)
        """
        estimate, half = self._over_episodes(values), self._half_width(values)
        return replace(estimate, interval=share_interval(estimate.mean, half, self.n_texts))

    def difference(self, values: Float[Tensor, "episodes n_query"]) -> Estimate:
        """Estimate a mean difference from that of each query; no difference in n texts means that it is rare."""
        estimate, half = self._over_episodes(values), self._half_width(values)
        half = half or 1 - 0.025 ** (1 / self.n_texts)
        return replace(estimate, interval=(estimate.mean - half, estimate.mean + half))

    def _over_episodes(self, values: Tensor) -> Estimate:
        estimate = Estimate.of(values.double().mean(1))
        return replace(estimate, ci95=None) if self.drawn == "cross_validation" else estimate

    def _half_width(self, values: Tensor) -> float:
        values = values.double()
        residuals = (values - values.mean()).flatten()
        half = clustered_half_width(residuals, self.texts)
        if self.drawn == "cross_validation":
            half *= math.sqrt(1 / len(values) + self.folds / (self.folds - 1))
        if self.classes is not None:
            half = max(half, clustered_half_width(residuals, self.classes))
        return math.hypot(half, self._over_episodes(values).ci95 or 0.0)


def share_interval(mean: float, half: float, n_texts: int) -> tuple[float, float]:
    """The 95 % interval of a share of some texts; `half` is its half-width as a mean, 0 if all texts agree.

    Example:
        >>> [round(100 * bound, 1) for bound in share_interval(0.95, 0.0675, 40)]  # 38 of 40
        [83.5, 98.6]
    """
    spread = _Z**2 * mean * (1 - mean)
    n = min(n_texts, spread / half**2) if half else n_texts
    if n_texts < _EXACT_BELOW:
        low = 0.0 if mean <= 0 else float(betaincinv(mean * n, (1 - mean) * n + 1, 0.025))
        high = 1.0 if mean >= 1 else float(betaincinv(mean * n + 1, (1 - mean) * n, 0.975))
        return low, high
    centre, width = mean + _Z**2 / (2 * n), math.sqrt(spread / n + _Z**4 / (4 * n**2))
    return tuple(min(max((centre + side * width) / (1 + _Z**2 / n), 0.0), 1.0) for side in (-1, 1))  # type: ignore


def clustered_half_width(residuals: Tensor, ids: Tensor) -> float:
    """Half the width of the interval of a mean whose residuals are alike within clusters; 0 for one cluster."""
    clusters, indices = ids.flatten().unique(return_inverse=True)
    k = len(clusters)
    if k < 2:
        return 0.0
    sums = residuals.new_zeros(k).index_add_(0, indices, residuals)
    return float(stdtrit(k - 1, 0.975)) * math.sqrt(k / (k - 1) * float(sums.square().sum())) / len(residuals)


def paired_difference(ours: Float[Tensor, " episodes"], theirs: Float[Tensor, " others"]) -> Estimate:
    """Mean difference on the same episodes, with a narrower interval than either mean; ValueError if they differ."""
    if len(ours) != len(theirs):
        raise ValueError(f"Got {len(ours)} and {len(theirs)} episodes, expected the same ones twice.")
    return Estimate.of(ours.double() - theirs.double())
