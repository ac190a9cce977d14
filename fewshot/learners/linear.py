"""Linear classifiers: written over their support texts, or where these outnumber the features, as plain weights."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier, Support


class _Linear(Classifier):
    """A linear classifier of unit vectors."""

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Unit vectors: the space in which the linear classifier is fitted."""
        return normalize(features, dim=-1)


@dataclass(frozen=True)
class DualLinear(_Linear):
    """`logits = scale * q X^T A`: weights `X^T A` are never formed, and an episode has n_support, not dim, unknowns.

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


@dataclass(frozen=True)
class PrimalLinear(_Linear):
    """`logits = scale * q W`, with one column of weights W per class."""

    weights: Float[Tensor, "episodes dim n_way"]
    scale: float

    def logits(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Linear scores of each query."""
        return self.scale * self.metric(query) @ self.weights


def outnumbers_features(support: Support) -> bool:
    """Whether variants make the examples of an episode more than its features, so that the primal form is smaller."""
    return support.weights is not None and support.mask[0].numel() > support.features.shape[-1]
