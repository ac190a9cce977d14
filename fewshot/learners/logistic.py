"""Multinomial logistic regression with an L2 penalty, for all episodes at once.

    min_W  |W|^2 / 2 + C * sum_i cross_entropy(x_i W, y_i)

With at most as many support texts as dimensions the unknowns are the A of W = X^T A, of all episodes at once. The
problem is strongly convex with a known smoothness constant, so that Nesterov's constant-momentum scheme (Nesterov 2004,
"Introductory Lectures on Convex Optimization", 2.2.11) converges linearly. With more texts that constant is far too
careful, and L-BFGS finds W itself, episode by episode, in a quarter of the steps. Same objective as scikit-learn's
`LogisticRegression(C=C, fit_intercept=False)`. The label name counts as one more example.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.learners.learner import Learner, Support
from fewshot.learners.ridge import DualLinear
from fewshot.learners.span import span_coefficients
from fewshot.ranges import POSITIVE

_GRADIENT = 1e-4  # largest element of the gradient at which the solver stops
_LARGE = 1_000_000  # logits, over which rounding in single precision evens out; with fewer the line search would see it


class Logistic(Learner):
    """Logistic regression on frozen features; nothing is trained.

    Args:
        dim: number of features.
        C: inverse strength of the penalty, as in scikit-learn.
        steps: most iterations of the solver; the default is below 1e-4 in the logits for C up to 10 and 100 support
            texts, and below 1e-3 for more than there are dimensions.
    """

    title = "logistic regression"
    RANGES = Learner.RANGES | dict.fromkeys(("C", "steps"), POSITIVE)
    differentiable = False

    def __init__(self, dim: int, C: float = 10.0, steps: int = 100):
        super().__init__(dim, C=C, steps=steps)
        self.C, self.steps = C, steps

    @torch.no_grad()
    def adapt(self, support: Support) -> DualLinear:
        """Minimise the penalised loss of each episode."""
        features, targets, mask = support.with_names_as_shots().flat()
        features, mask = normalize(features, dim=-1), mask[..., None]
        if features.shape[1] > features.shape[2]:
            weights = [self._weights(*one) for one in zip(features, targets, mask[..., 0], strict=True)]
            found = [span_coefficients(rows, own.T) for rows, own in zip(features, weights, strict=True)]
            return DualLinear(features, torch.stack(found), 1.0)
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

    def _weights(self, features: Tensor, targets: Tensor, mask: Tensor) -> Float[Tensor, "dim n_way"]:
        """W of one episode, which is smaller than A."""
        precision = torch.double if targets.numel() < _LARGE else torch.float
        there, classes = features[mask].to(precision), targets[mask].argmax(-1)
        weights = there.new_zeros(features.shape[1], targets.shape[1]).requires_grad_()
        optimiser = torch.optim.LBFGS(
            [weights],
            max_iter=self.steps,
            tolerance_grad=_GRADIENT,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            losses = nn.functional.cross_entropy(there @ weights, classes, reduction="none")
            loss = weights.double().square().sum() / 2 + self.C * losses.double().sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            optimiser.step(closure)
        return weights.detach().to(features.dtype)
