"""Ridge regression to one-hot targets, in closed form.

    A = (X X^T + l I)^-1 Y        logits(q) = scale * q X^T A

Source: Bertinetto et al. 2019, "Meta-learning with differentiable closed-form solvers" (R2-D2), in the
Woodbury form of its equation 6: a system of n_support unknowns instead of dim.  Theirs meta-trains the encoder
and `l`; here both are given.  The label name counts as one more example.
"""

import torch
from torch.nn.functional import normalize

from fewshot.learners.learner import Learner, Support, check_positive
from fewshot.learners.linear import DualLinear


class Ridge(Learner):
    """Closed-form ridge regression on frozen features; nothing is trained.

    Args:
        dim: number of features.
        penalty: `l` in the formula.
        scale: factor from score to logit; it does not change which class wins.
    """

    title = "ridge regression"

    def __init__(self, dim: int, penalty: float = 1.0, scale: float = 10.0):
        super().__init__(dim, penalty=penalty, scale=scale)
        check_positive(penalty=penalty, scale=scale)
        self.penalty, self.scale = penalty, scale

    def adapt(self, support: Support) -> DualLinear:
        """Solve for the dual coefficients of all episodes at once."""
        features, targets, _ = support.with_names_as_shots().flat()
        features = normalize(features, dim=-1)
        gram = features @ features.mT
        identity = torch.eye(gram.shape[-1], device=gram.device)
        return DualLinear(features, torch.linalg.solve(gram + self.penalty * identity, targets), self.scale)
