"""The drift of recent texts from those that a classifier was fitted on.

    labels      total variation of the shares of predicted labels against those of the support; chi-square, permutations
    confidence  Kolmogorov-Smirnov distance of the probabilities of predicted labels to those of texts held out
    texts       squared maximum mean discrepancy of features to those of the support, Gaussian kernel, permutations:
                MMD^2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)      over pairs of different texts

A p-value is the share of samples without drift that are as far apart or further. The support counts as a sample of the
texts that come: if it is balanced by hand and the texts are not, labels and texts differ from the first day on.

Source: Gretton et al. 2012, "A kernel two-sample test", https://jmlr.org/papers/v13/gretton12a.html; which tests find
drift: Rabanser, Günnemann and Lipton 2019, "Failing loudly", https://arxiv.org/abs/1810.11953.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WINDOW = 500  # recent texts
MIN_TEXTS = 50  # for any measurement
_SUPPORT = 500  # features of the support that are compared
_PERMUTATIONS = 499


@dataclass(frozen=True)
class Shift:
    """The distance of two samples.

    Args:
        size: 0 for none; at most 1, except for `texts`.
        p_value: share of samples without drift that are as far apart or further.
    """

    size: float
    p_value: float


@dataclass(frozen=True)
class Reference:
    """The reference for recent texts.

    Args:
        labels: number of texts of the support by label.
        confidences: of texts held out; empty if they were not kept.
        features: unit features of the support, or None.
    """

    labels: Mapping[Any, int]
    confidences: Sequence[float] = ()
    features: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def of(cls, classifier: Any) -> "Reference | None":
        """The reference of a classifier with evidence of one label a text; None for others."""
        evidence = getattr(classifier, "evidence", None)
        if evidence is None or classifier.thresholds is not None:
            return None
        support = evidence.support
        counts = np.bincount(np.asarray(support.classes), minlength=len(support.labels)).tolist()
        features = np.asarray(evidence.features)[: len(support.texts)]
        if len(features) > _SUPPORT:
            features = features[np.random.default_rng(0).choice(len(features), _SUPPORT, replace=False)]
        held_out = getattr(classifier, "confidences", None)
        confidences = () if held_out is None else tuple(np.asarray(held_out).tolist())
        return cls(dict(zip(support.labels, counts, strict=True)), confidences, features)

    def described(self) -> dict[str, Any]:
        """The reference as JSON for the audit log, without features."""
        return {
            "labels": [[label, count] for label, count in self.labels.items()],
            "confidences": list(self.confidences),
        }

    @classmethod
    def from_described(cls, content: Mapping[str, Any]) -> "Reference":
        """The reference of `described`, without features."""
        return cls({label: int(count) for label, count in content["labels"]}, tuple(map(float, content["confidences"])))


class Window:
    """The most recent answers of a model.

    Args:
        reference: of the model.
        digest: of the model.
    """

    def __init__(self, reference: Reference, digest: str):
        self.reference, self.digest = reference, digest
        self._recent: deque[tuple[Any, float, np.ndarray | None]] = deque(maxlen=WINDOW)
        self.n_new = 0  # since the last measurement

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, label: Any, confidence: float, features: np.ndarray | None) -> None:
        """Add an answer; the oldest one is dropped if the window is full."""
        self._recent.append((label, confidence, features))
        self.n_new += 1

    def shifts(self) -> dict[str, Shift]:
        """The shifts of `labels`, `confidence` and `texts`; none of too few texts."""
        recent, self.n_new = list(self._recent), 0
        labels, confidences, features = zip(*recent, strict=True) if recent else ((), (), ())
        shifts = shifts_of_answers(self.reference, labels, confidences)
        support, rows = self.reference.features, [row for row in features if row is not None]
        if support is not None and len(rows) >= MIN_TEXTS and len(support) > 1:
            shifts["texts"] = feature_shift(support, np.stack(rows))
        return shifts


def shifts_of_answers(reference: Reference, labels: Sequence[Any], confidences: Sequence[float]) -> dict[str, Shift]:
    """The shifts of labels and confidences; none of too few texts."""
    shifts: dict[str, Shift] = {}
    if len(labels) < MIN_TEXTS:
        return shifts
    if len(reference.labels) > 1:
        shifts["labels"] = label_shift(reference.labels, Counter(labels))
    if len(reference.confidences) >= MIN_TEXTS:
        shifts["confidence"] = confidence_shift(reference.confidences, confidences)
    return shifts


def label_shift(support: Mapping[Any, int], recent: Mapping[Any, int], seed: int = 0) -> Shift:
    """The shift of the shares of labels: total variation, and Pearson's chi-square against permuted samples.

    Unlike the chi-square distribution, permutations are right for the few texts of a support too.

    Args:
        support, recent: texts by label.
        seed: of the permutations.
    """
    names = dict.fromkeys([*support, *recent])
    table = np.array([[counts.get(name, 0) for name in names] for counts in (support, recent)])
    table = table[:, table.sum(0) > 0]
    totals, n = table.sum(0), int(table[0].sum())
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(totals, n, size=_PERMUTATIONS)
    expected = totals * n / totals.sum()
    values = ((np.concatenate([table[:1], drawn]) - expected) ** 2 / expected).sum(1)
    shares = table / table.sum(1, keepdims=True)
    return Shift(float(np.abs(shares[0] - shares[1]).sum() / 2), float((values >= values[0] - 1e-12).mean()))


def confidence_shift(held_out: Sequence[float], recent: Sequence[float]) -> Shift:
    """The shift of the confidences from those of texts held out: the two-sample Kolmogorov-Smirnov test.

    The p-value is that of the limiting distribution. (Loading `scipy.stats` takes half a second, in which no text would
    be answered.)
    """
    from scipy.special import kolmogorov

    samples = np.sort(held_out), np.sort(recent)
    steps = np.concatenate(samples)
    below = [np.searchsorted(values, steps, side="right") / len(values) for values in samples]
    distance = float(np.abs(below[0] - below[1]).max())
    n_effective = len(held_out) * len(recent) / (len(held_out) + len(recent))
    return Shift(distance, float(kolmogorov(n_effective**0.5 * distance)))


def feature_shift(support: np.ndarray, recent: np.ndarray, seed: int = 0) -> Shift:
    """The shift of the features: squared MMD against that of permuted samples.

    The width of the kernel is the median distance of all pairs.

    Args:
        support: `[n, dim]`.
        recent: `[m, dim]`.
        seed: of the permutations.
    """
    rows = np.concatenate([support, recent]).astype(np.float32)
    squares = (rows**2).sum(1)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0)
    width = float(np.median(distances[np.triu_indices(len(rows), 1)])) or 1.0
    kernel = np.exp(-distances / width)
    np.fill_diagonal(kernel, 0)
    n = len(support)
    membership = np.zeros((_PERMUTATIONS + 1, len(rows)), rows.dtype)
    membership[:, :n] = 1
    np.random.default_rng(seed).permuted(membership[1:], axis=1, out=membership[1:])
    values = _squared_mmd(kernel, membership, n, len(recent))
    return Shift(float(values[0]), float((values >= values[0] - 1e-12).mean()))


def _squared_mmd(kernel: np.ndarray, first: np.ndarray, n: int, m: int) -> np.ndarray:
    """Unbiased estimates for some divisions of the rows; `first` is 1 for the n rows of the first sample."""
    towards = first @ kernel  # of each row, to the first sample
    within = (towards * first).sum(1, dtype=np.float64)
    across = towards.sum(1, dtype=np.float64) - within
    total = kernel.sum(dtype=np.float64)
    return within / (n * (n - 1)) + (total - within - 2 * across) / (m * (m - 1)) - 2 * across / (n * m)
