"""Nearest centroid: the class whose mean support text is nearest in angle.

    p_c = mean_k x_ck / |mean_k x_ck|        logit_c(q) = scale * q . p_c

Source: Tibshirani et al. 2002, "Diagnosis of multiple cancer types by shrunken centroids" (without the
shrinkage), on unit vectors as in Wang et al. 2019, "SimpleShot".  The label name counts as one more example.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier, Learner, Support
from fewshot.ranges import POSITIVE


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


class Centroid(Learner):
    """Nearest centroid on frozen features; nothing is trained.

    Args:
        dim: number of features.
        scale: factor from cosine to logit; it does not change which class is nearest.
    """

    title = "nearest centroid"
    RANGES = Learner.RANGES | {"scale": POSITIVE}
    by_prototypes = True

    def __init__(self, dim: int, scale: float = 20.0):
        super().__init__(dim, scale=scale)
        self.scale = scale

    def adapt(self, support: Support) -> NearestPrototype:
        """Average the support of each class."""
        return NearestPrototype(normalize(support.with_names_as_shots().mean(), dim=-1), self.scale)
