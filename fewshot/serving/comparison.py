"""Scores of the models in an audit log, and the differences of two of them.

Each 95 % interval covers other texts of the same kind. A text that came several times counts as one observation, as its
answers are alike. With a shadow both models see the same texts, so that differences are paired; with a share of the
requests each sees texts of its own, and the half-widths of both add in squares.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from fewshot.evaluation.intervals import clustered_half_width, share_interval
from fewshot.serving.audit import KEYED, PLAIN
from fewshot.serving.drift import Reference, Shift, shifts_of_answers
from fewshot.serving.variants import CHALLENGER, CHAMPION, SHADOW

Source = tuple[str, str, str]  # model, digest, variant


@dataclass(frozen=True)
class Mean:
    """A mean over texts with its 95 % interval.

    Args:
        mean: the mean.
        low, high: the interval; both are the mean if there is only one text.
        n_texts: distinct texts.
    """

    mean: float
    low: float
    high: float
    n_texts: int

    @classmethod
    def of(cls, values: Sequence[float], texts: Sequence[str], share: bool = False) -> "Mean":
        """The mean of the values of texts, which may repeat; with `share`, values are 0 or 1."""
        numbers, ids = torch.tensor(values, dtype=torch.float64), _ids(texts)
        mean, half = float(numbers.mean()), clustered_half_width(numbers - numbers.mean(), ids)
        n_texts = len(set(texts))
        if share:
            return cls(mean, *share_interval(mean, half, n_texts), n_texts)
        return cls(mean, mean - half, mean + half, n_texts)

    def minus(self, other: "Mean") -> "Mean":
        """The difference of two means of different texts."""
        mean = self.mean - other.mean
        half = math.hypot(self.high - self.low, other.high - other.low) / 2
        return Mean(mean, mean - half, mean + half, self.n_texts + other.n_texts)


@dataclass
class Answers:
    """The answers of one version of a model in one role."""

    requests: list[tuple[str, str, int]] = field(default_factory=list)  # request, text, number among equal texts in it
    labels: list[Any] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    n_rejected: int = 0

    @property
    def texts(self) -> list[str]:
        """The digests of the texts."""
        return [text for _, text, _ in self.requests]

    def right(self, truth: Mapping[str, Any]) -> tuple[list[float], list[str]]:
        """1 or 0 for each answer to a text whose label is known, and these texts."""
        known = [(label, text) for label, text in zip(self.labels, self.texts, strict=True) if text in truth]
        return [float(label == truth[text]) for label, text in known], [text for _, text in known]


@dataclass(frozen=True)
class Log:
    """The records of some logs.

    Args:
        answers: by model, digest and variant, in order of their first answer.
        references: digest → reference of the classifier.
        drifts: model → the last measurement of features.
        n_torn: lines that are no records.
    """

    answers: Mapping[Source, Answers]
    references: Mapping[str, Reference]
    drifts: Mapping[str, Mapping[str, Any]]
    n_torn: int

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any] | None]) -> "Log":
        """The log of the records of `read_audit`."""
        answers, references, drifts = defaultdict[Source, Answers](Answers), dict[str, Reference](), dict[str, Any]()
        n_torn, seen = 0, Counter[tuple[Source, str, str]]()
        for record in records:
            try:
                if record is None:
                    n_torn += 1
                elif record["kind"] == "prediction":
                    _add(answers, seen, record)
                elif record["kind"] == "model" and record["reference"] is not None:
                    references[record["digest"]] = Reference.from_described(record["reference"])
                elif record["kind"] == "drift":
                    drifts[record["model"]] = record
            except (KeyError, TypeError, ValueError, AttributeError):
                n_torn += 1
        return cls(answers, references, drifts, n_torn)

    def shifts(self, source: Source) -> dict[str, Shift]:
        """The shifts of labels and confidences from those of the support and of texts held out."""
        reference, answers = self.references.get(source[1]), self.answers[source]
        if reference is None:
            return {}
        return shifts_of_answers(reference, answers.labels, answers.probabilities)


@dataclass(frozen=True)
class Difference:
    """The difference of two models: the second minus the first.

    Args:
        first, second: the models.
        paired: True if both saw the same texts.
        agreement: share of texts with the same label, if both saw the same.
        probability: difference of the mean probability of the label.
        accuracy: difference of the accuracies, if labels are known.
    """

    first: Source
    second: Source
    paired: bool
    agreement: Mean | None
    probability: Mean
    accuracy: Mean | None


def differences(log: Log, truth: Mapping[str, Any]) -> list[Difference]:
    """The differences of each challenger and shadow to each champion.

    Args:
        log: of a server with `--shadow` or `--share`.
        truth: digest of a text → its label.
    """
    champions = [source for source in log.answers if source[2] == CHAMPION]
    pairs = []
    for other in log.answers:
        for champion in champions:
            if other[2] == SHADOW:
                pairs += _paired(log, champion, other, truth)
            elif other[2] == CHALLENGER:
                pairs.append(_unpaired(log, champion, other, truth))
    return pairs


def _paired(log: Log, first: Source, second: Source, truth: Mapping[str, Any]) -> list[Difference]:
    ours, theirs = log.answers[first], log.answers[second]
    index = {key: a for a, key in enumerate(ours.requests)}
    both = [(index[key], b) for b, key in enumerate(theirs.requests) if key in index]
    if not both:
        return []
    texts = [ours.texts[a] for a, _ in both]
    agreement = Mean.of([float(ours.labels[a] == theirs.labels[b]) for a, b in both], texts, share=True)
    probability = Mean.of([theirs.probabilities[b] - ours.probabilities[a] for a, b in both], texts)
    known = [(a, b) for a, b in both if ours.texts[a] in truth]
    accuracy = None
    if known:
        gains = [
            float(theirs.labels[b] == truth[ours.texts[a]]) - float(ours.labels[a] == truth[ours.texts[a]])
            for a, b in known
        ]
        accuracy = Mean.of(gains, [ours.texts[a] for a, _ in known])
    return [Difference(first, second, True, agreement, probability, accuracy)]


def _unpaired(log: Log, first: Source, second: Source, truth: Mapping[str, Any]) -> Difference:
    ours, theirs = log.answers[first], log.answers[second]
    probability = Mean.of(theirs.probabilities, theirs.texts).minus(Mean.of(ours.probabilities, ours.texts))
    accuracy, our_right, their_right = None, ours.right(truth), theirs.right(truth)
    if our_right[0] and their_right[0]:
        accuracy = Mean.of(*their_right, share=True).minus(Mean.of(*our_right, share=True))
    return Difference(first, second, False, None, probability, accuracy)


def _add(answers: Mapping[Source, Answers], seen: Counter[tuple[Source, str, str]], record: Mapping[str, Any]) -> None:
    source = (str(record["model"]), str(record["digest"]), str(record["variant"] or ""))
    request, text = str(record["request_id"]), str(record.get(PLAIN) or record[KEYED])
    label = tuple(record["label"]) if isinstance(record["label"], list) else record["label"]
    probability, milliseconds = float(record["probability"]), float(record["ms"])
    rejected = bool(record["rejected"])
    target, key = answers[source], (source, request, text)
    target.requests.append((request, text, seen[key]))
    seen[key] += 1
    target.labels.append(None if rejected else label)
    target.probabilities.append(probability)
    target.milliseconds.append(milliseconds)
    target.n_rejected += rejected


def _ids(texts: Sequence[str]) -> torch.Tensor:
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return torch.tensor([numbers[text] for text in texts])
