"""Prototypical network on frozen features: a meta-trained projection and nearest prototype.

    y = x - centre        z = normalize(y + y W)        p_c = normalize(mean_k z_ck)
    logit_c(q) = exp(s) * z_q . p_c

Source: Snell et al. 2017, "Prototypical Networks for Few-shot Learning".  They use squared Euclidean distance
on a network trained from nothing; on unit vectors from a sentence encoder the cosine with a learned scale `s`
(Oreshkin et al. 2018, "TADAM") is the better behaved form.  The label name counts as one more example.
"""

import copy
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.learners.centroid import NearestPrototype, PrototypeLearner
from fewshot.learners.learner import Learner
from fewshot.ranges import POSITIVE, SHARE


class ResidualProjection(nn.Module):
    """`normalize(y + y W)` with `y = x - centre`, and `W = 0` at the start.

    The residual form begins at the encoder's own space, and decaying `W` pulls back to it.  What all texts of a domain
    share says nothing about classes, so most of their mean is taken away first (Wang et al. 2019, "SimpleShot", section
    3.2, take all of it away): `centring` is the share.
    """

    centre: Tensor

    def __init__(self, dim: int, centring: float = 0.6):
        super().__init__()
        self.centring = centring
        self.weight = nn.Parameter(torch.zeros(dim, dim))
        self.register_buffer("centre", torch.zeros(dim))

    @property
    def is_identity(self) -> bool:
        """Whether nothing has been fitted or trained yet, so that unit vectors stay what they are."""
        return not (self.centre.any() or self.weight.any())

    def fit_centre(self, class_means: Float[Tensor, "n_classes dim"]) -> None:
        """Set the centre from the means of the train classes, each class counting the same."""
        self.centre.copy_(self.centring * class_means.mean(0))

    def forward(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Centre, project and normalise."""
        centred = features - self.centre
        return normalize(centred + centred @ self.weight, dim=-1)


class ProjectedLearner(Learner):
    """A learner that reads texts through a residual projection alone; see it and `Learner` for the arguments."""

    projection: nn.Module
    RANGES = Learner.RANGES | {"centring": SHARE}

    def __init__(self, dim: int, centring: float, **arguments: object):
        super().__init__(dim, centring=centring, **arguments)
        self.projection = ResidualProjection(dim, centring)

    def prepare(self, class_means: Float[Tensor, "n_classes dim"]) -> None:
        """Centre the projection on the train classes."""
        assert isinstance(self.projection, ResidualProjection)
        self.projection.fit_centre(class_means)

    def embed(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Project each text."""
        return self.projection(features)

    def on_embedded(self) -> "ProjectedLearner":
        """The same learner for features that are projected already; parameters are shared."""
        twin = copy.copy(self)
        twin._modules = {**self._modules, "projection": nn.Identity()}
        return twin


@dataclass(frozen=True)
class ProjectedPrototype(NearestPrototype):
    """Scaled cosine to prototypes in the projected space."""

    projection: nn.Module

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Projected unit vectors."""
        return self.projection(features)


class Prototypical(ProjectedLearner, PrototypeLearner):
    """Prototypical network with a residual projection and a learned scale.

    Args:
        dim: number of features.
        scale: first value of `exp(s)`.
        centring: share of the train classes' mean that is taken away, see `ResidualProjection`.
    """

    title = "prototypical network"
    RANGES = ProjectedLearner.RANGES | {"scale": POSITIVE}

    def __init__(self, dim: int, scale: float = 20.0, centring: float = 0.6):
        super().__init__(dim, centring, scale=scale)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def of_means(self, means: Float[Tensor, "episodes n_way dim"]) -> ProjectedPrototype:
        """Prototypes of length one in the projected space."""
        return ProjectedPrototype(normalize(means, dim=-1), self.log_scale.exp(), self.projection)
