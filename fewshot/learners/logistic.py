"""Multinomial logistic regression with an L2 penalty, for all episodes at once.

    min_W  |W|^2 / 2 + C * sum_i w_i cross_entropy(x_i W, y_i)

The minimiser is a combination of the support texts, W = X^T A, so the unknowns are A, or W itself where variants make
the texts outnumber the features.  The problem is strongly convex with a known smoothness constant; Nesterov's
constant-momentum scheme (Nesterov 2004, "Introductory Lectures on Convex Optimization", 2.2.11) converges linearly.
Same objective as scikit-learn's `LogisticRegression(C=C, fit_intercept=False)`, without its loop over episodes.  The
weights w_i are 1 for texts; the label name counts as one more example.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.learners.learner import Learner, Support
from fewshot.learners.ridge import DualLinear, PrimalLinear, outnumbers_features
from fewshot.ranges import POSITIVE


class Logistic(Learner):
    """Logistic regression on frozen features; nothing is trained.

    Args:
        dim: number of features.
        C: inverse strength of the penalty, as in scikit-learn.
        steps: iterations of the solver; the default is below 1e-4 in the logits for C up to 10 and 100 support texts,
            and below 1e-2 for 400; a text of weight w is w texts here.
    """

    title = "logistic regression"
    RANGES = Learner.RANGES | dict.fromkeys(("C", "steps"), POSITIVE)
    differentiable = False

    def __init__(self, dim: int, C: float = 10.0, steps: int = 100):
        super().__init__(dim, C=C, steps=steps)
        self.C, self.steps = C, steps

    @torch.no_grad()
    def adapt(self, support: Support) -> DualLinear | PrimalLinear:
        """Minimise the penalised loss of all episodes at once."""
        features, targets, weights = support.with_names_as_shots().flat()
        features = normalize(features, dim=-1)
        if outnumbers_features(support):
            return PrimalLinear(self._primal(features, targets, weights), 1.0)
        return DualLinear(features, self._dual(features, targets, weights[..., None]), 1.0)

    def _dual(self, features: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        gram, roots = features @ features.mT, weights.sqrt()

        def gradient(coefficients: Tensor) -> Tensor:
            return coefficients + self.C * (((gram @ coefficients).softmax(-1) - targets) * weights)

        return self._descend(gradient, torch.zeros_like(targets), roots * gram * roots.mT)

    def _primal(self, features: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The same steps on W itself, classes before examples: the products along long rows are the fast ones."""
        targets, weights = targets.mT.contiguous(), weights[:, None]
        rooted = features * weights.mT.sqrt()

        def gradient(columns: Tensor) -> Tensor:
            return columns + self.C * (((columns @ features.mT).softmax(1) - targets) * weights) @ features

        return self._descend(gradient, torch.zeros_like(targets @ features), rooted.mT @ rooted).mT

    def _descend(self, gradient: Callable[[Tensor], Tensor], start: Tensor, gram: Tensor) -> Tensor:
        """Nesterov's scheme; X^T X has the same norm as X X^T, and either is the weighted `gram`."""
        # Softmax's curvature is at most 1/2, and the norm of the Gram matrix bounds the features' part.
        smoothness = 1 + self.C / 2 * torch.linalg.matrix_norm(gram, ord="fro")[:, None, None]
        momentum = (smoothness.sqrt() - 1) / (smoothness.sqrt() + 1)
        point = ahead = start
        for _ in range(self.steps):
            updated = ahead - gradient(ahead) / smoothness
            ahead = updated + momentum * (updated - point)
            point = updated
        return point
