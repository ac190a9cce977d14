"""What a classifier says of some texts, as columns; NumPy alone, so that an exported classifier says the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fewshot.episodes.label_sets import chosen_labels
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
    probabilities: Float[np.ndarray, "n_texts n_classes"]
    rejected: Bool[np.ndarray, " n_texts"] | None = None
    thresholds: Float[np.ndarray, " n_classes"] | None = None

    def __iter__(self) -> Iterator[Prediction]:
        if self.thresholds is not None:
            yield from self._of_several(self.probabilities >= self.thresholds)
            return
        rows = np.arange(len(self.probabilities))
        first = self.probabilities.argmax(1)
        others = self.probabilities.copy()
        others[rows, first] = -1
        second = others.argmax(1)
        best, other = self.probabilities[rows, first], others[rows, second]
        rejected = np.zeros(len(rows), dtype=bool) if self.rejected is None else self.rejected
        columns = (first, best, rejected, second, other)
        for number, probability, out, runner_up, its in zip(*(column.tolist() for column in columns), strict=True):
            yield Prediction(self.labels[number], probability, out, self.labels[runner_up], its)

    def _of_several(self, chosen: Bool[np.ndarray, "n_texts n_classes"]) -> Iterator[Prediction]:
        others = np.where(chosen, -1, self.probabilities)
        least = np.where(chosen, self.probabilities, 2).min(1)
        sure = np.where(chosen.any(1), least, 1 - self.probabilities.max(1))
        columns = (sure, others.argmax(1), others.max(1))
        for labels, probability, number, other in zip(
            chosen_labels(self.labels, chosen), *(column.tolist() for column in columns), strict=True
        ):
            runner_up = self.labels[number] if other >= 0 else None
            yield Prediction(labels, probability, False, runner_up, max(0.0, other))
