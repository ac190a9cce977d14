"""What happened in a training."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class TrainingHistory:
    """What happened in a meta-training.

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


@dataclass
class Progress:
    """How far a training is.

    Args:
        step: steps taken.
        losses: loss of each step, in nats.
        scores: step of each look → valid accuracy.
        best_step: the look with the best score.
        best: the trained weights at that look.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    def history(self) -> TrainingHistory:
        """What is told about it at the end."""
        return TrainingHistory(self.step, self.best_step, self.losses, self.scores)
