"""The history of a training."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrainingHistory:
    """Losses and accuracies of a training.

    Args:
        steps: steps taken.
        best_step: the step whose weights were kept; 0 is the start.
        losses: loss of each step, in nats.
        valid_accuracies: step → mean accuracy on the valid episodes.
    """

    steps: int = 0
    best_step: int = 0
    losses: list[float] = field(default_factory=list)
    valid_accuracies: dict[int, float] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        """The history as JSON can hold it; a loss that is no number is None."""
        losses = [loss if math.isfinite(loss) else None for loss in self.losses]
        return {**vars(self), "losses": losses, "valid_accuracies": list(self.valid_accuracies.items())}

    @classmethod
    def from_described(cls, description: Mapping[str, Any]) -> "TrainingHistory":
        """The inverse of `described`; LookupError, TypeError or ValueError for anything else."""
        losses = [math.nan if loss is None else float(loss) for loss in description["losses"]]
        scores = {int(step): float(score) for step, score in description["valid_accuracies"]}
        return cls(int(description["steps"]), int(description["best_step"]), losses, scores)
