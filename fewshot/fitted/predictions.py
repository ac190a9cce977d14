"""What a classifier says of some texts, as columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fewshot.episodes.multi_labelled import chosen_labels
from fewshot.fitted.explanation import LabelOrLabels


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one text.

    Args:
        label: the most probable one, whether the text is rejected or not; of a classifier that gives several labels or
            none, a tuple.
        probability: of this label, calibrated; of several, that of the least sure one; of none, that it is none.
        rejected: whether the text seems to belong to no class.
        runner_up, runner_up_probability: the most probable label but those given; None and 0 if all are.
    """

    label: LabelOrLabels
    probability: float
    rejected: bool
    runner_up: str | int | None
    runner_up_probability: float


@dataclass(frozen=True)
class Predictions:
    """Predictions of some texts.

    Args:
        labels: of the classes.
        probabilities: of each label, calibrated.
        rejected: which texts seem to belong to no class; None: nothing is rejected.
        thresholds: of the probability of each label, if a text can have several or none.
    """

    labels: Sequence[str | int]
    probabilities: Float[Tensor, "n_texts n_classes"]
    rejected: Bool[Tensor, " n_texts"] | None = None
    thresholds: Float[Tensor, " n_classes"] | None = None

    def __iter__(self) -> Iterator[Prediction]:
        if self.thresholds is not None:
            yield from self._of_several(self.probabilities >= self.thresholds)
            return
        first = self.probabilities.argmax(1, keepdim=True)
        second = self.probabilities.scatter(1, first, -1).argmax(1, keepdim=True)
        places = torch.cat([first, second], dim=1)
        best = self.probabilities.gather(1, places)
        rejected = [False] * len(best) if self.rejected is None else self.rejected.tolist()
        for numbers, (one, other), out in zip(places.tolist(), best.tolist(), rejected, strict=True):
            yield Prediction(self.labels[numbers[0]], one, out, self.labels[numbers[1]], other)

    def _of_several(self, chosen: Bool[Tensor, "n_texts n_classes"]) -> Iterator[Prediction]:
        others = self.probabilities.masked_fill(chosen, -1).max(1)
        least = self.probabilities.masked_fill(~chosen, 2).amin(1)
        sure = torch.where(chosen.any(1), least, 1 - self.probabilities.amax(1))
        for labels, probability, number, other in zip(
            chosen_labels(self.labels, chosen),
            sure.tolist(),
            others.indices.tolist(),
            others.values.tolist(),
            strict=True,
        ):
            runner_up = self.labels[number] if other >= 0 else None
            yield Prediction(labels, probability, False, runner_up, max(0.0, other))
