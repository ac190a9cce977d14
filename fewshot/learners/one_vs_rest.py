"""A logistic regression for each label, for texts that have several labels or none.

    logit_c(x) = w_c . x / |x| + b_c
    min_(w,b)  sum_i v_ic BCE(logit_c(x_i), y_ic) + l2/2 (|w_c|^2 + b_c^2 / 100)

Texts with a label and texts without it count one half each (`v`), however few the former are. The problem of a label
is convex and does not touch the others, so one L-BFGS solves all of them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier

_BIAS = 0.01  # of the penalty: without any the bias of a label that all texts have, or none, is infinite


@dataclass(frozen=True)
class OneVsRest(Classifier):
    """`logit = w . x / |x| + b`, of each label for itself: a label is there where its logit is high enough."""

    weight: Float[Tensor, "episodes n_way dim"]
    bias: Float[Tensor, "episodes n_way"]

    def logits(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Log-odds of each label for each query."""
        return self.metric(query) @ self.weight.mT + self.bias[:, None]

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Unit vectors: the space in which the labels are told apart."""
        return normalize(features, dim=-1)

    def shifted(self, shift: float) -> "OneVsRest":
        """The same classifier with a number added to all logits."""
        return OneVsRest(self.weight, self.bias + shift)


def fit_one_vs_rest(
    features: Float[Tensor, "n dim"], targets: Bool[Tensor, "n n_way"], l2: float, iterations: int = 50
) -> OneVsRest:
    """Fit all labels at once.

    Args:
        features: of texts, and of label names as texts that have this one label.
        targets: which labels each has.
        l2: weight of the penalty in the formula.
        iterations: of L-BFGS, at most.
    """
    unit, truth = normalize(features, dim=-1), targets.to(features.dtype)
    n, n_way = truth.shape
    n_with = truth.sum(0)
    shares = truth / n_with.clamp(min=1) + (1 - truth) / (n - n_with).clamp(min=1)
    weight = torch.zeros(n_way, unit.shape[1], requires_grad=True)
    bias = torch.zeros(n_way, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=iterations, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = unit @ weight.T + bias
        losses = nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        penalty = weight.square().sum() + _BIAS * bias.square().sum()
        loss = (shares * losses).sum() / 2 + l2 / 2 * penalty
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
    return OneVsRest(weight.detach()[None], bias.detach()[None])
