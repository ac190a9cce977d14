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
    """Precision, recall and F1 of a class, as fractions, and how many answers it had; None: nothing to divide by."""

    label: str
    n: float
    precision: float | None
    recall: float | None
    f1: float


def scores_of(
    labels: Sequence[str], right: Sequence[float], asked: Sequence[float], given: Sequence[float]
) -> tuple[ClassScores, ...]:
    """Scores of each label that was asked for or given, of how often it was right, asked for, and given."""
    return tuple(
        ClassScores(label, n, hits / said if said else None, hits / n if n else None, 2 * hits / (n + said))
        for label, hits, n, said in zip(labels, right, asked, given, strict=True)
        if n or said
    )


@dataclass(frozen=True)
class Pair:
    """Two labels that are confused: texts of `one` taken for `other`, and the reverse, with some of them."""

    one: str
    other: str
    there: float
    back: float
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
        place: of the text in `Answers.texts`.
        text, label, predicted: the text, its own label, and the one that it gets most often when it is wrong.
        number: of the predicted label.
        wrong, asked: how often it is wrong, and how often it was asked for.
        confidence: mean probability of the label that it gets.
    """

    place: int
    text: str
    label: str
    predicted: str
    number: int
    wrong: int
    asked: int
    confidence: float


@dataclass(frozen=True)
class Answers:
    """A row for each time that a text was asked for: once in a table, once in each repeat, or in several episodes.

    Args:
        labels: of the classes.
        texts: that were asked for, and perhaps others.
        places: which text.
        targets, predicted: its class, and the one that it got.
        confidence: calibrated probability of the latter.
    """

    labels: tuple[str, ...]
    texts: Sequence[str]
    places: Int[Tensor, " n"]
    targets: Int[Tensor, " n"]
    predicted: Int[Tensor, " n"]
    confidence: Float[Tensor, " n"]

    @classmethod
    def of_evaluation(cls, task: Task, evaluation: Evaluation, classes: Int[Tensor, "episodes n_way"]) -> "Answers":
        """Those of all queries, over the classes that are the ways of some episode."""
        known = classes.unique()
        own = torch.searchsorted(known, classes[: len(evaluation.logits)].contiguous())
        confidence, predicted = confidences(evaluation.calibrated_logits)
        return cls(
            labels=tuple(task.classes[number] for number in known.tolist()),
            texts=task.texts,
            places=evaluation.sample.texts.flatten(),
            targets=own.gather(1, evaluation.targets).flatten(),
            predicted=own.gather(1, predicted).flatten(),
            confidence=confidence.flatten(),
        )

    @property
    def right(self) -> Tensor:
        """Which answers are right."""
        return self.targets == self.predicted

    @cached_property
    def even(self) -> bool:
        """Whether each text was asked for equally often; then texts are counted, and else answers."""
        return len(self.places.unique(return_counts=True)[1].unique()) == 1

    @property
    def times(self) -> int:
        """How many answers are counted as one."""
        return len(self.places) // len(self.places.unique()) if self.even else 1

    @cached_property
    def confusion(self) -> dict[tuple[int, int], float]:
        """(own class, class that it gets) → how many texts, see `even`; pairs without any are left out."""
        cells, counts = (self.targets * len(self.labels) + self.predicted).unique(return_counts=True)
        shares = (counts.double() / self.times).tolist()
        return {divmod(cell, len(self.labels)): share for cell, share in zip(cells.tolist(), shares, strict=True)}

    def by_class(self) -> tuple[ClassScores, ...]:
        """Scores of each class that was asked for or answered, in their order."""
        each = (self.targets[self.right], self.targets, self.predicted)
        counts = (torch.bincount(one, minlength=len(self.labels)).double() / self.times for one in each)
        return scores_of(self.labels, *(one.tolist() for one in counts))

    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of labels that are confused most, with texts."""
        both = defaultdict[tuple[int, int], float](float)
        for (own, other), count in self.confusion.items():
            if own != other:
                both[min(own, other), max(own, other)] += count
        return tuple(
            Pair(
                one=self.labels[one],
                other=self.labels[other],
                there=self.confusion.get((one, other), 0.0),
                back=self.confusion.get((other, one), 0.0),
                texts=self._taken(one, other) + self._taken(other, one),
            )
            for one, other in sorted(both, key=lambda pair: -both[pair])[:MOST_PAIRS]
        )

    def wrong(self) -> tuple[WrongText, ...]:
        """All texts that are wrong at least once: the most often wrong first, of these the surest."""
        rows = (~self.right).nonzero().flatten()
        asked = torch.bincount(self.places, minlength=len(self.texts))
        taken: dict[int, Counter[int]] = {}
        sums: dict[int, float] = {}
        own = dict(zip(self.places[rows].tolist(), self.targets[rows].tolist(), strict=True))
        values = (self.places[rows].tolist(), self.predicted[rows].tolist(), self.confidence[rows].tolist())
        for place, number, confidence in zip(*values, strict=True):
            taken.setdefault(place, Counter())[number] += 1
            sums[place] = sums.get(place, 0.0) + confidence
        found = [
            WrongText(
                place=place,
                text=self.texts[place],
                label=self.labels[own[place]],
                predicted=self.labels[(number := counts.most_common(1)[0][0])],
                number=number,
                wrong=counts.total(),
                asked=int(asked[place]),
                confidence=sums[place] / counts.total(),
            )
            for place, counts in taken.items()
        ]
        return tuple(sorted(found, key=lambda one: (-one.wrong / one.asked, -one.confidence, one.place)))

    def reliability(self) -> tuple[Bin, ...]:
        """Bins of equal width of the confidence, those without answers left out."""
        bins = (self.confidence * BINS).long().clamp(max=BINS - 1)
        counts, sure, right = (
            torch.bincount(bins, weights, minlength=BINS).tolist()
            for weights in (None, self.confidence.double(), self.right.double())
        )
        rows = zip(counts, sure, right, strict=True)
        return tuple(Bin(n / self.times, of_n / n, hits / n) for n, of_n, hits in rows if n)

    def _taken(self, own: int, other: int) -> tuple[tuple[str, str], ...]:
        """Texts of one class that are taken for another, each with its label; the surest first."""
        rows = ((self.targets == own) & (self.predicted == other)).nonzero().flatten()
        rows = rows[self.confidence[rows].argsort(descending=True)]
        places = list(dict.fromkeys(self.places[rows].tolist()))[:TEXTS_OF_A_PAIR]
        return tuple((self.texts[place], self.labels[own]) for place in places)
