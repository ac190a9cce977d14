"""What happened in a training."""

from dataclasses import dataclass, field

from torch import Tensor

from fewshot.encoders import Encoder, TrainableEncoder, TrainableShare


@dataclass(frozen=True)
class TrainingHistory:
    """What happened in a training.

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


@dataclass(frozen=True)
class TrainedEncoder:
    """A meta-trained encoder and its training.

    Args:
        encoder: with the trained weights.
        trainable: its trained form, to save.
        history: of the training.
        kept: share of the way from the published to the trained weights that was best on the valid classes.
        parameters: how many were trained.
    """

    encoder: Encoder
    trainable: TrainableEncoder
    history: TrainingHistory
    kept: float
    parameters: TrainableShare


@dataclass
class Progress:
    """How far a training is: its history so far, and the trained weights of the best step."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    scores: dict[int, float] = field(default_factory=dict)
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    def history(self) -> TrainingHistory:
        """The history, once the training is over."""
        return TrainingHistory(self.step, self.best_step, self.losses, self.scores)
