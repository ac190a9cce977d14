"""The weights of several tasks in their common loss.

    equal          L = sum_t L_t
    uncertainty    L = sum_t exp(-s_t) L_t + s_t / 2          s_t = log sigma_t^2, trained with the others
    dynamic        L = sum_t w_t L_t                          w_t = T d_t / sum_u d_u
                   d_t = mean over held-out texts of KL(p_t now | p_t at the evaluation before)

A task whose predictions on held-out texts no longer change has converged, and weighs less from then on; if all change
alike, all weigh 1.

Source: Kendall et al. 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses", https://arxiv.org/abs/1705.07115,
equation 10, for uncertainty. The dynamic weights are a form of Liu et al. 2019, "End-to-End Multi-Task Learning with
Attention" (dynamic weight average), https://arxiv.org/abs/1803.10704, on predictions in place of losses.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

WEIGHTINGS = ("equal", "uncertainty", "dynamic")
_LEAST = 0.1  # of the equal weight: a task that has converged may change again


class TaskWeights(nn.Module):
    """The weights of some tasks.

    Args:
        n_tasks: number of tasks.
        weighting: one of `WEIGHTINGS`.
    """

    weights: Tensor

    def __init__(self, n_tasks: int, weighting: str):
        super().__init__()
        self.weighting = weighting
        self.register_buffer("weights", torch.ones(n_tasks))
        self.log_variance = nn.Parameter(torch.zeros(n_tasks), requires_grad=weighting == "uncertainty")
        self._before: list[Tensor] | None = None

    def total(self, losses: Float[Tensor, " n_tasks"]) -> Float[Tensor, ""]:
        """The common loss of the tasks' losses, in nats."""
        if self.weighting == "uncertainty":
            return ((-self.log_variance).exp() * losses + self.log_variance / 2).sum()
        return (self.weights * losses).sum()

    def observe(self, log_probabilities: Sequence[Float[Tensor, "_ _"]]) -> None:
        """Update the weights by the predictions of each task on its held-out texts, the same ones at each call."""
        now, before = [scores.detach() for scores in log_probabilities], self._before
        self._before = now
        if self.weighting != "dynamic" or before is None:
            return
        changes = torch.stack([divergence(new, old) for new, old in zip(now, before, strict=True)])
        if float(changes.sum()) > 0:
            shares = (len(changes) * changes / changes.sum()).clamp(min=_LEAST)
            self.weights.copy_(len(changes) * shares / shares.sum())


def divergence(now: Float[Tensor, "n n_classes"], before: Float[Tensor, "n n_classes"]) -> Float[Tensor, ""]:
    """Mean over texts of KL(now | before) of log-probabilities, in nats."""
    return (now.exp() * (now - before)).sum(1).mean().clamp(min=0)
