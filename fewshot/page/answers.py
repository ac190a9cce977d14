"""The classes that were predicted for texts: scores by class, confusions, wrong texts, calibration."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.evaluation import Evaluation
from fewshot.evaluation.metrics import confidences
from fewshot.tasks.task import Task

BINS = 15  # as in the expected calibration error
MOST_WRONG, MOST_PAIRS, TEXTS_OF_A_PAIR = 200, 10, 3


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of a class, as fractions, and its number of answers; None: nothing to divide by."""

    label: str
    n: float
    precision: float | None
    recall: float | None
    f1: float


def scores_of(
    labels: Sequence[str], n_right: Sequence[float], n_true: Sequence[float], n_predicted: Sequence[float]
) -> tuple[ClassScores, ...]:
    """Scores of each label from its numbers of right answers, targets and predictions; unused labels are left out."""
    return tuple(
        ClassScores(label, n, hits / given if given else None, hits / n if n else None, 2 * hits / (n + given))
        for label, hits, n, given in zip(labels, n_right, n_true, n_predicted, strict=True)
        if n or given
    )


@dataclass(frozen=True)
class Pair:
    """Two labels that are confused: how many texts of each are taken for the other, and some of these texts."""

    first: str
    second: str
    n_as_second: float
    n_as_first: float
    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence: their number, mean confidence and accuracy."""

    n: float
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class WrongText:
    """A text that is taken for another label.

    Args:
        index: of the text in `Answers.texts`.
        text, label: the text and its label.
        predicted, predicted_class: the wrong label that it gets most often, and its class.
        n_wrong, n_tested: how often it is wrong, and how often it is classified.
        confidence: mean probability of the wrong labels.
    """

    index: int
    text: str
    label: str
    predicted: str
    predicted_class: int
    n_wrong: int
    n_tested: int
    confidence: float


@dataclass(frozen=True)
class Answers:
    """The predictions of texts; a text has one in a table, one in each repeat, and one in each episode that draws it.

    Args:
        labels: of the classes.
        texts: those that are classified, and perhaps others.
        indices: of the text of each answer in `texts`.
        targets, predicted: its class, and the class that is predicted.
        confidence: calibrated probability of the predicted class.
    """

    labels: tuple[str, ...]
    texts: Sequence[str]
    indices: Int[Tensor, " n"]
    targets: Int[Tensor, " n"]
    predicted: Int[Tensor, " n"]
    confidence: Float[Tensor, " n"]

    @classmethod
    def of_evaluation(cls, task: Task, evaluation: Evaluation, classes: Int[Tensor, "episodes n_way"]) -> "Answers":
        """The answers to all queries, over the classes of all episodes."""
        known = classes.unique()
        ways = torch.searchsorted(known, classes[: len(evaluation.logits)].contiguous())
        confidence, predicted = confidences(evaluation.calibrated_logits)
        return cls(
            labels=tuple(task.classes[number] for number in known.tolist()),
            texts=task.texts,
            indices=evaluation.sample.texts.flatten(),
            targets=ways.gather(1, evaluation.targets).flatten(),
            predicted=ways.gather(1, predicted).flatten(),
            confidence=confidence.flatten(),
        )

    @property
    def right(self) -> Tensor:
        """Which answers are right."""
        return self.targets == self.predicted

    @cached_property
    def even(self) -> bool:
        """True if each text has the same number of answers; then texts are counted, otherwise answers."""
        return len(self.indices.unique(return_counts=True)[1].unique()) == 1

    @property
    def times(self) -> int:
        """Number of answers that count as one."""
        return len(self.indices) // len(self.indices.unique()) if self.even else 1

    @cached_property
    def confusion(self) -> dict[tuple[int, int], float]:
        """(class, predicted class) → number of texts, see `even`; empty cells are left out."""
        cells, counts = (self.targets * len(self.labels) + self.predicted).unique(return_counts=True)
        shares = (counts.double() / self.times).tolist()
        return {divmod(cell, len(self.labels)): share for cell, share in zip(cells.tolist(), shares, strict=True)}

    def by_class(self) -> tuple[ClassScores, ...]:
        """Scores of each class that is a target or is predicted, in their order."""
        counts = (
            (torch.bincount(classes, minlength=len(self.labels)).double() / self.times).tolist()
            for classes in (self.targets[self.right], self.targets, self.predicted)
        )
        return scores_of(self.labels, *counts)

    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of labels that are confused most, with texts."""
        both = defaultdict[tuple[int, int], float](float)
        for (target, predicted), count in self.confusion.items():
            if target != predicted:
                both[min(target, predicted), max(target, predicted)] += count
        return tuple(
            Pair(
                first=self.labels[first],
                second=self.labels[second],
                n_as_second=self.confusion.get((first, second), 0.0),
                n_as_first=self.confusion.get((second, first), 0.0),
                texts=self._confused(first, second) + self._confused(second, first),
            )
            for first, second in sorted(both, key=lambda pair: -both[pair])[:MOST_PAIRS]
        )

    def wrong(self) -> tuple[WrongText, ...]:
        """All texts that are wrong at least once, by the share of wrong answers, then by confidence."""
        rows = (~self.right).nonzero().flatten()
        n_tested = torch.bincount(self.indices, minlength=len(self.texts))
        predictions: dict[int, Counter[int]] = {}
        sums: dict[int, float] = {}
        targets = dict(zip(self.indices[rows].tolist(), self.targets[rows].tolist(), strict=True))
        values = (self.indices[rows].tolist(), self.predicted[rows].tolist(), self.confidence[rows].tolist())
        for i, predicted, confidence in zip(*values, strict=True):
            predictions.setdefault(i, Counter())[predicted] += 1
            sums[i] = sums.get(i, 0.0) + confidence
        wrong = [
            WrongText(
                index=i,
                text=self.texts[i],
                label=self.labels[targets[i]],
                predicted=self.labels[(predicted := counts.most_common(1)[0][0])],
                predicted_class=predicted,
                n_wrong=counts.total(),
                n_tested=int(n_tested[i]),
                confidence=sums[i] / counts.total(),
            )
            for i, counts in predictions.items()
        ]
        return tuple(sorted(wrong, key=lambda text: (-text.n_wrong / text.n_tested, -text.confidence, text.index)))

    def reliability(self) -> tuple[Bin, ...]:
        """Bins of equal width of the confidence; empty bins are left out."""
        bins = (self.confidence * BINS).long().clamp(max=BINS - 1)
        counts, sums, right = (
            torch.bincount(bins, weights, minlength=BINS).tolist()
            for weights in (None, self.confidence.double(), self.right.double())
        )
        rows = zip(counts, sums, right, strict=True)
        return tuple(Bin(n / self.times, confidence / n, hits / n) for n, confidence, hits in rows if n)

    def _confused(self, target: int, predicted: int) -> tuple[tuple[str, str], ...]:
        """Texts of one class that are taken for another, each with its label; the most confident first."""
        rows = ((self.targets == target) & (self.predicted == predicted)).nonzero().flatten()
        rows = rows[self.confidence[rows].argsort(descending=True)]
        indices = list(dict.fromkeys(self.indices[rows].tolist()))[:TEXTS_OF_A_PAIR]
        return tuple((self.texts[i], self.labels[target]) for i in indices)
