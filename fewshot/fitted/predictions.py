"""Predictions for some texts as columns; NumPy alone, so that exported classifiers share them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from fewshot.episodes.label_sets import chosen_labels
from fewshot.fitted.explanation import LabelOrLabels


@dataclass(frozen=True)
class Prediction:
    """The prediction for one text.

    Args:
        label: the most probable label, also of a rejected text; a tuple if texts can have several labels or none.
        probability: calibrated probability of the label; of several labels the lowest one; of none, the probability of
            none.
        rejected: True if the text seems to belong to no class.
        runner_up, runner_up_probability: the most probable other label; None and 0 if there is none.
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
        rejected: True for texts that seem to belong to no class; None: nothing is rejected.
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
        probabilities, other_probabilities = self.probabilities[rows, first], others[rows, second]
        rejected = np.zeros(len(rows), dtype=bool) if self.rejected is None else self.rejected
        columns = (first, probabilities, rejected, second, other_probabilities)
        for label, probability, is_rejected, runner_up, other in zip(*(each.tolist() for each in columns), strict=True):
            yield Prediction(self.labels[label], probability, is_rejected, self.labels[runner_up], other)

    def _of_several(self, chosen: Bool[np.ndarray, "n_texts n_classes"]) -> Iterator[Prediction]:
        others = np.where(chosen, -1, self.probabilities)
        lowest = np.where(chosen, self.probabilities, 2).min(1)
        probabilities = np.where(chosen.any(1), lowest, 1 - self.probabilities.max(1))
        columns = (probabilities, others.argmax(1), others.max(1))
        for labels, probability, number, other in zip(
            chosen_labels(self.labels, chosen), *(column.tolist() for column in columns), strict=True
        ):
            runner_up = self.labels[number] if other >= 0 else None
            yield Prediction(labels, probability, False, runner_up, max(0.0, other))
