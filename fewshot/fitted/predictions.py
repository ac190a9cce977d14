"""What a classifier says of some texts, as columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one text.

    Args:
        label: the most probable one, whether the text is rejected or not.
        probability: of this label, calibrated.
        rejected: whether the text seems to belong to no class.
        runner_up, runner_up_probability: the second most probable label.
    """

    label: str | int
    probability: float
    rejected: bool
    runner_up: str | int
    runner_up_probability: float


@dataclass(frozen=True)
class Predictions:
    """Predictions of some texts.

    Args:
        labels: of the classes.
        probabilities: of each label, calibrated.
        rejected: which texts seem to belong to no class; None: nothing is rejected.
    """

    labels: Sequence[str | int]
    probabilities: Float[Tensor, "n_texts n_classes"]
    rejected: Bool[Tensor, " n_texts"] | None = None

    def __iter__(self) -> Iterator[Prediction]:
        best = self.probabilities.topk(2)
        rejected = [False] * len(self.probabilities) if self.rejected is None else self.rejected.tolist()
        for (first, second), numbers, out in zip(best.values.tolist(), best.indices.tolist(), rejected, strict=True):
            yield Prediction(self.labels[numbers[0]], first, out, self.labels[numbers[1]], second)
