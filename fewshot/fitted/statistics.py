"""What is kept of texts to tell their classes apart: counts, sums and one sum of outer products.

They add up: the statistics of all texts are the sum of those of any parts, in any order.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.learners.discriminant import FeatureMap, SharedCovariance

PRIOR_TEXTS = 2000.0
PRIOR_TEXTS_OF_UNITS = 500.0  # where random units are the features
_BLOCK = 4096  # texts that are mapped at once


@dataclass(frozen=True)
class ClassStatistics:
    """Sufficient statistics of a linear discriminant with one covariance.

    Args:
        feature_map: of unit features.
        labels: of the classes, sorted.
        counts: texts of each class, its label name among them.
        sums: of the mapped features of each class.
        products: sum of the outer products of the mapped features with themselves, over all classes.
    """

    feature_map: FeatureMap
    labels: tuple[str | int, ...]
    counts: Float[Tensor, " n_classes"]
    sums: Float[Tensor, "n_classes out"]
    products: Float[Tensor, "out out"]

    @classmethod
    def of(
        cls,
        features: Float[Tensor, "n_texts dim"],
        classes: Int[Tensor, " n_texts"],
        labels: tuple[str | int, ...],
        feature_map: FeatureMap,
    ) -> "ClassStatistics":
        """Of some texts.

        Args:
            features: unit vectors.
            classes: places in `labels`.
            labels: in the order in which `LabelledTexts.of` puts them.
            feature_map: the same for all that is to be added up.
        """
        out = feature_map.width or features.shape[1]
        sums, products = torch.zeros(len(labels), out), torch.zeros(out, out)
        for part, own in zip(features.split(_BLOCK), classes.split(_BLOCK), strict=True):
            mapped = feature_map(part)
            sums.index_add_(0, own, mapped)
            products.addmm_(mapped.T, mapped)
        counts = torch.bincount(classes, minlength=len(labels)).to(sums.dtype)
        return cls(feature_map, labels, counts, sums, products)

    def __add__(self, other: "ClassStatistics") -> "ClassStatistics":
        """The statistics of the texts of both; labels of either are there."""
        labels = tuple(sorted({*self.labels, *other.labels}, key=lambda label: (isinstance(label, str), label)))
        mine, its = self._with_labels(labels), other._with_labels(labels)
        return replace(
            mine, counts=mine.counts + its.counts, sums=mine.sums + its.sums, products=mine.products + its.products
        )

    def __sub__(self, other: "ClassStatistics") -> "ClassStatistics":
        """Without the texts of `other`, which are among these; its labels stay."""
        its = other._with_labels(self.labels)
        return replace(
            self, counts=self.counts - its.counts, sums=self.sums - its.sums, products=self.products - its.products
        )

    def classifier(self, prior_texts: float | None = None) -> SharedCovariance:
        """The discriminant of these texts.

        Args:
            prior_texts: number of texts that the prior of the covariance weighs as much as, `nu` in the formula. None:
                2,000, or 500 with random units. That is the best of 250 to 5,000 on texts of clinc150 and banking77
                outside of any test part, 5 to 100 of a class; half or twice as many move accuracy by up to 0.3 points.
        """
        if prior_texts is None:
            prior_texts = PRIOR_TEXTS_OF_UNITS if self.feature_map.width else PRIOR_TEXTS
        means = self.sums / self.counts.clamp(min=1)[:, None]
        n_texts, dim = float(self.counts.sum()), len(self.products)
        within = self.products - self.sums.T @ means
        # One text of each class says nothing of the scatter within: then any scale will do.
        scale = max(float(within.trace()), 1e-6 * float(self.products.trace())) / n_texts / dim
        covariance = within / n_texts
        covariance.diagonal().add_(prior_texts / n_texts * scale)
        weight = torch.cholesky_solve(means.T, torch.linalg.cholesky(covariance)).T
        bias = -(weight * means).sum(1) / 2
        bias = bias.masked_fill(self.counts < 0.5, -torch.inf)  # a label whose texts were taken away
        return SharedCovariance(self.feature_map, weight[None], bias[None])

    def _with_labels(self, labels: tuple[str | int, ...]) -> "ClassStatistics":
        """The same, with the places of more labels, which have no text."""
        if labels == self.labels:
            return self
        places = torch.tensor([labels.index(label) for label in self.labels])
        counts = torch.zeros(len(labels)).index_copy(0, places, self.counts)
        sums = torch.zeros(len(labels), self.sums.shape[1]).index_copy(0, places, self.sums)
        return replace(self, labels=labels, counts=counts, sums=sums)
