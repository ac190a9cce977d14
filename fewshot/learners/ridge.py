"""Ridge regression to one-hot targets, in closed form.

    A = (X X^T + l I)^-1 Y        logits(q) = scale * q X^T A
    W = (X^T X + l I)^-1 X^T Y    logits(q) = scale * q W, the same, where there are more rows in X than columns

Source: Bertinetto et al. 2019, "Meta-learning with differentiable closed-form solvers" (R2-D2), in the
Woodbury form of its equation 6: a system of n_support unknowns instead of dim.  Theirs meta-trains the encoder
and `l`; here both are given.  The label name counts as one more example.  Rows of X and Y that are multiplied by the
root of a weight give weighted least squares.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier, Learner, Support
from fewshot.ranges import POSITIVE


class _Linear(Classifier):
    """A linear classifier of unit vectors."""

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Unit vectors: the space in which the linear classifier is fitted."""
        return normalize(features, dim=-1)


@dataclass(frozen=True)
class DualLinear(_Linear):
    """`logits = scale * q X^T A` with unit support X and coefficients A; the weights `X^T A` are never formed."""

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


class Ridge(Learner):
    """Closed-form ridge regression on frozen features; nothing is trained.

    Args:
        dim: number of features.
        penalty: `l` in the formula.
        scale: factor from score to logit; it does not change which class wins.
    """

    title = "ridge regression"
    RANGES = Learner.RANGES | dict.fromkeys(("penalty", "scale"), POSITIVE)

    def __init__(self, dim: int, penalty: float = 1.0, scale: float = 10.0):
        super().__init__(dim, penalty=penalty, scale=scale)
        self.penalty, self.scale = penalty, scale

    def adapt(self, support: Support) -> DualLinear | PrimalLinear:
        """Solve for the coefficients of all episodes at once, in the form that has fewer of them."""
        features, targets, weights = support.with_names_as_shots().flat()
        # A weighted square is the square of what is multiplied by the root of the weight.
        roots = weights.sqrt()[..., None]
        features, targets = roots * normalize(features, dim=-1), roots * targets
        if outnumbers_features(support):
            return PrimalLinear(self._solve(features.mT @ features, features.mT @ targets), self.scale)
        return DualLinear(features, self._solve(features @ features.mT, targets), self.scale)

    def _solve(self, gram: Tensor, right: Tensor) -> Tensor:
        identity = torch.eye(gram.shape[-1], device=gram.device)
        return torch.linalg.solve(gram + self.penalty * identity, right)
