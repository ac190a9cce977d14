"""Nearest centroid: the class whose mean support text is nearest in angle.

    p_c = mean_k x_ck / |mean_k x_ck|        logit_c(q) = scale * q . p_c

Source: Tibshirani et al. 2002, "Diagnosis of multiple cancer types by shrunken centroids" (without the
shrinkage), on unit vectors as in Wang et al. 2019, "SimpleShot".  The label name counts as one more example.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier, Learner, Support
from fewshot.ranges import POSITIVE

_CHUNK = 65_536  # texts that are embedded at once


@dataclass(frozen=True)
class NearestPrototype(Classifier):
    """Scaled cosine to the prototypes, one unit vector per class."""

    prototypes: Float[Tensor, "episodes n_way dim"]
    scale: float | Float[Tensor, ""]

    def logits(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Scaled cosine of each query to each prototype."""
        return self.scale * self.metric(query) @ self.prototypes.mT

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Unit vectors, whose squared distance is two minus twice the cosine."""
        return normalize(features, dim=-1)


class PrototypeLearner(Learner):
    """A learner that knows a class by the mean of its embedded texts, its label name among them."""

    by_prototypes = True

    @abstractmethod
    def of_means(self, means: Float[Tensor, "episodes n_way dim"]) -> NearestPrototype:
        """The classifier whose prototypes have the directions of the means."""

    def adapt(self, support: Support) -> NearestPrototype:
        """Average the embedded support of each class."""
        shots = support.with_names_as_shots()
        return self.of_means(replace(shots, features=self.embed(shots.features)).mean())

    def adapt_rows(
        self,
        features: Float[Tensor, "n_texts dim"],
        classes: Int[Tensor, " n_texts"],
        n_way: int,
        label_names: Float[Tensor, "n_way dim"] | None = None,
    ) -> NearestPrototype:
        """Average the embedded texts of each class part by part, without a copy of them."""
        sums = features.new_zeros(n_way, features.shape[1]) if label_names is None else self.embed(label_names)
        counts = torch.bincount(classes, minlength=n_way) + (label_names is not None)
        for rows, own in zip(features.split(_CHUNK), classes.split(_CHUNK), strict=True):
            sums = sums.index_add(0, own, self.embed(rows))
        return self.of_means((sums / counts[:, None])[None])


class Centroid(PrototypeLearner):
    """Nearest centroid on frozen features; nothing is trained.

    Args:
        dim: number of features.
        scale: factor from cosine to logit; it does not change which class is nearest.
    """

    title = "nearest centroid"
    RANGES = Learner.RANGES | {"scale": POSITIVE}

    def __init__(self, dim: int, scale: float = 20.0):
        super().__init__(dim, scale=scale)
        self.scale = scale

    def of_means(self, means: Float[Tensor, "episodes n_way dim"]) -> NearestPrototype:
        """Prototypes of length one."""
        return NearestPrototype(normalize(means, dim=-1), self.scale)
