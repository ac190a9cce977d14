"""Prototypical network on frozen features: a meta-trained projection and nearest prototype.

    y = x - centre        z = normalize(y + y W)        p_c = normalize(mean_k z_ck)
    logit_c(q) = exp(s) * z_q . p_c

Source: Snell et al. 2017, "Prototypical Networks for Few-shot Learning".  They use squared Euclidean distance
on a network trained from nothing; on unit vectors from a sentence encoder the cosine with a learned scale `s`
(Oreshkin et al. 2018, "TADAM") is the better behaved form.  The label name counts as one more example.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.learners.centroid import NearestPrototype
from fewshot.learners.learner import Support, check_positive
from fewshot.learners.projection import ProjectedLearner


@dataclass(frozen=True)
class ProjectedPrototype(NearestPrototype):
    """Scaled cosine to prototypes in the projected space."""

    projection: nn.Module

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Projected unit vectors."""
        return self.projection(features)


class Prototypical(ProjectedLearner):
    """Prototypical network with a residual projection and a learned scale.

    Args:
        dim: number of features.
        scale: first value of `exp(s)`.
        centring: share of the train classes' mean that is taken away, see `ResidualProjection`.
    """

    title = "prototypical network"
    by_prototypes = True

    def __init__(self, dim: int, scale: float = 20.0, centring: float = 0.6):
        super().__init__(dim, centring, scale=scale)
        check_positive(scale=scale)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def adapt(self, support: Support) -> ProjectedPrototype:
        """Average the projected support of each class."""
        shots = support.with_names_as_shots()
        projected = replace(shots, features=self.projection(shots.features))
        return ProjectedPrototype(normalize(projected.mean(), dim=-1), self.log_scale.exp(), self.projection)
