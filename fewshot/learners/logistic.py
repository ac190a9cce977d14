"""Multinomial logistic regression with an L2 penalty, for all episodes at once.

    min_W  |W|^2 / 2 + C * sum_i cross_entropy(x_i W, y_i)

The minimiser is a combination of the support texts, W = X^T A, so the unknowns are A.  The problem is strongly convex
with a known smoothness constant; Nesterov's constant-momentum scheme (Nesterov 2004, "Introductory Lectures on Convex
Optimization", 2.2.11) converges linearly.  Same objective as scikit-learn's
`LogisticRegression(C=C, fit_intercept=False)`, without its loop over episodes.  The label name counts as one more
example.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.learners.learner import Learner, Support
from fewshot.learners.ridge import DualLinear
from fewshot.ranges import POSITIVE


class Logistic(Learner):
    """Logistic regression on frozen features; nothing is trained.

    Args:
        dim: number of features.
        C: inverse strength of the penalty, as in scikit-learn.
        steps: iterations of the solver; the default is below 1e-4 in the logits for C up to 10 and 100 support texts,
            and below 1e-2 for 400.
    """

    title = "logistic regression"
    RANGES = Learner.RANGES | dict.fromkeys(("C", "steps"), POSITIVE)
    differentiable = False

    def __init__(self, dim: int, C: float = 10.0, steps: int = 100):
        super().__init__(dim, C=C, steps=steps)
        self.C, self.steps = C, steps

    @torch.no_grad()
    def adapt(self, support: Support) -> DualLinear:
        """Minimise the penalised loss of all episodes at once, by Nesterov's scheme."""
        features, targets, mask = support.with_names_as_shots().flat()
        features, mask = normalize(features, dim=-1), mask[..., None]
        if features.shape[1] > features.shape[2]:
            weights = self._weights(features, targets, mask)
            # At the minimum W = X^T A with these A.
            return DualLinear(features, self.C * (targets - (features @ weights).softmax(-1)) * mask, 1.0)
        gram = features @ features.mT
        # Softmax's curvature is at most 1/2, and the norm of the Gram matrix bounds the features' part.
        smoothness = 1 + self.C / 2 * torch.linalg.matrix_norm(gram, ord="fro")[:, None, None]
        momentum = (smoothness.sqrt() - 1) / (smoothness.sqrt() + 1)
        point = ahead = torch.zeros_like(targets)
        for _ in range(self.steps):
            gradient = ahead + self.C * (((gram @ ahead).softmax(-1) - targets) * mask)
            updated = ahead - gradient / smoothness
            ahead = updated + momentum * (updated - point)
            point = updated
        return DualLinear(features, point, 1.0)

    def _weights(self, features: Tensor, targets: Tensor, mask: Tensor) -> Float[Tensor, "episodes dim n_way"]:
        """W itself, where it is smaller than A: by the same scheme, with the exact norm."""
        norm = torch.linalg.matrix_norm(features.mT @ features, ord=2)[:, None, None]
        smoothness = 1 + self.C / 2 * norm
        momentum = (smoothness.sqrt() - 1) / (smoothness.sqrt() + 1)
        point = ahead = features.new_zeros(len(features), features.shape[2], targets.shape[2])
        for _ in range(self.steps):
            errors = ((features @ ahead).softmax(-1) - targets) * mask
            updated = ahead - (ahead + self.C * (features.mT @ errors)) / smoothness
            ahead, point = updated + momentum * (updated - point), updated
        return point
