"""A linear classifier written over its support texts, so that an episode costs n_support, not dim, unknowns."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier


@dataclass(frozen=True)
class DualLinear(Classifier):
    """`logits = scale * q X^T A`: weights `X^T A` are never formed.

    Args:
        support: unit support features X.
        coefficients: A, one column per class.
        scale: factor from score to logit.
    """

    support: Float[Tensor, "episodes n_support dim"]
    coefficients: Float[Tensor, "episodes n_support n_way"]
    scale: float

    def logits(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Linear scores of each query."""
        return self.scale * (self.metric(query) @ self.support.mT) @ self.coefficients

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Unit vectors: the space in which the linear classifier is fitted."""
        return normalize(features, dim=-1)
