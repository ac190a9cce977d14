"""Ridge regression to one-hot targets, in closed form.

    A = (X X^T + l I)^-1 Y        logits(q) = scale * q X^T A

Source: Bertinetto et al. 2019, "Meta-learning with differentiable closed-form solvers" (R2-D2), in the
Woodbury form of its equation 6: a system of n_support unknowns, or of dim where these are fewer.  Theirs
meta-trains the encoder and `l`; here both are given.  The label name counts as one more example.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier, Learner, Support
from fewshot.ranges import POSITIVE


@dataclass(frozen=True)
class DualLinear(Classifier):
    """`logits = scale * q X^T A` with unit support X and coefficients A.

    The weights `X^T A` are formed where there are more support texts than dimensions.
    """

    support: Float[Tensor, "episodes n_support dim"]
    coefficients: Float[Tensor, "episodes n_support n_way"]
    scale: float

    def logits(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Linear scores of each query."""
        if self.support.shape[1] > self.support.shape[2]:
            return self.scale * self.metric(query) @ (self.support.mT @ self.coefficients)
        return self.scale * (self.metric(query) @ self.support.mT) @ self.coefficients

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Unit vectors: the space in which the linear classifier is fitted."""
        return normalize(features, dim=-1)


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

    def adapt(self, support: Support) -> DualLinear:
        """Solve for the coefficients of all episodes at once."""
        features, targets, _ = support.with_names_as_shots().flat()
        features = normalize(features, dim=-1)
        n_support, dim = features.shape[1:]
        if n_support <= dim:
            system = features @ features.mT + self.penalty * torch.eye(n_support, device=features.device)
            return DualLinear(features, torch.linalg.solve(system, targets), self.scale)
        system = features.mT @ features + self.penalty * torch.eye(dim, device=features.device)
        weights = torch.linalg.solve(system, features.mT @ targets)
        return DualLinear(features, (targets - features @ weights) / self.penalty, self.scale)  # l A = Y - X W
