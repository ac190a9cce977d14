"""Labels that other texts contradict, by out-of-fold probabilities of logistic regression and nearest neighbours.

    p(c | x) = (p_logistic(c | x) + p_neighbours(c | x)) / 2
    score(x, y) = log p(y | x) - max_{c != y} log p(c | x)

No text is scored by a model that saw it. The ratio of both probabilities finds more wrong labels than the confidence
p(y | x) and than cleanlab's scores of the same probabilities (`benchmarks.housekeeping`). It was chosen on other draws
and tasks than those scored there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from fewshot.episodes.labelled import LabelledTexts
from fewshot.housekeeping.findings import N_EXAMPLES, Finding, PlacedTexts, counted, quoted
from fewshot.housekeeping.labels import SMALL, folded, spellings

if TYPE_CHECKING:
    from fewshot.encoders import Encoder

FOLDS = 5
C = 10.0  # inverse strength of the penalty, of unit features
NEIGHBOURS = 30
_SHARPNESS = 20.0  # of the weight exp(s cosine) of a neighbour
_SMOOTHING = 1e-3  # share of the weight of all neighbours that is spread over the classes
SUSPECT = -3.0  # score below which a label is likely wrong: another is 20 times as probable; chosen on failure_modes
CONFUSED = 0.3  # share of swapped texts of two classes from which they may be one
_MIN_CONFUSED = 5  # texts


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities of each text by classifiers that did not see it.

    Args:
        rows: indices of the texts; classes of fewer than `SMALL` texts are left out.
        classes: their labels, sorted.
        given: the class of each text.
        probabilities: `[n_texts, n_classes]`.
    """

    rows: np.ndarray
    classes: tuple[str, ...]
    given: np.ndarray
    probabilities: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """Log ratio of the probability of each label to the highest other one; below 0 if that is higher."""
        logs = np.log(self.probabilities + 1e-12)
        return logs[np.arange(len(logs)), self.given] - self._others(logs).max(1)

    @property
    def proposed(self) -> np.ndarray:
        """The most probable other class of each text."""
        return self._others(self.probabilities).argmax(1)

    def _others(self, values: np.ndarray) -> np.ndarray:
        others = values.copy()
        others[np.arange(len(others)), self.given] = -np.inf
        return others


def features_and_pieces(encoder: "Encoder", texts: Sequence[str]) -> tuple[np.ndarray, list[int]]:
    """Unit features of texts, each read to its end, and the number of pieces of each; zeros for empty texts."""
    full = [row for row, text in enumerate(texts) if text.strip()]
    pieces, counts = encoder.encode_pieces([texts[row] for row in full])
    features = np.zeros((len(texts), pieces.shape[1]))
    np.add.at(features, np.repeat(full, counts), pieces.double().numpy())
    n_pieces = dict(zip(full, counts, strict=True))
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(1e-12, lengths), [n_pieces.get(row, 0) for row in range(len(texts))]


def out_of_fold(features: np.ndarray, labels: Sequence[str], seed: int = 0) -> OutOfFold | None:
    """Cross-validate labelled texts; None if fewer than two classes have `SMALL` texts.

    Args:
        features: unit features `[n_texts, dim]`.
        labels: of each text; "" is left out, and spellings of a label are one class.
        seed: of the folds.
    """
    main_of = spellings(labels)
    named = [main_of.get(label, label) for label in labels]
    sizes = Counter(named)
    rows = np.array([row for row, label in enumerate(named) if folded(label) and sizes[label] >= SMALL], dtype=int)
    classes = tuple(sorted({named[row] for row in rows}))
    if len(classes) < 2:
        return None
    numbers = {label: number for number, label in enumerate(classes)}
    given = np.array([numbers[named[row]] for row in rows])
    x = features[rows]
    probabilities = (logistic_probabilities(x, given, seed) + neighbour_probabilities(x, given)) / 2
    return OutOfFold(rows, classes, given, probabilities)


def mislabelled(held_out: OutOfFold, checked: PlacedTexts) -> list[Finding]:
    """Texts that are likely mislabelled, the worst first."""
    scores, proposed = held_out.scores, held_out.proposed
    worst = [i for i in np.argsort(scores, kind="stable").tolist() if scores[i] < SUSPECT]
    if not worst:
        return []
    rows = tuple(held_out.rows[worst].tolist())
    examples = tuple(
        f"{checked.example(row)} is {quoted(held_out.classes[held_out.given[i]])}, like texts of "
        f"{quoted(held_out.classes[proposed[i]])}"
        for row, i in zip(rows[:N_EXAMPLES], worst, strict=False)
    )
    sentence = counted(len(worst), "text is", "texts are") + " likely mislabelled."
    return [Finding("mislabelled", sentence, "Read them, the worst first, and correct wrong labels.", rows, examples)]


def confused(held_out: OutOfFold) -> list[Finding]:
    """Pairs of classes that may be one, the most confused first."""
    predicted = held_out.probabilities.argmax(1)
    table = np.zeros((len(held_out.classes), len(held_out.classes)), dtype=int)
    np.add.at(table, (held_out.given, predicted), 1)
    swapped, right = table + table.T, table.diagonal()
    shares = swapped / np.maximum(1, swapped + right[:, None] + right[None])
    pairs = [
        (float(shares[a, b]), a, b)
        for a, b in np.argwhere(np.triu(shares, 1) >= CONFUSED).tolist()
        if swapped[a, b] >= _MIN_CONFUSED and min(table[a, b], table[b, a]) > 0
    ]
    if not pairs:
        return []
    pairs.sort(reverse=True)
    examples = tuple(
        f"{quoted(held_out.classes[a])} and {quoted(held_out.classes[b])}: {share:.0%} are taken for the other"
        for share, a, b in pairs[:N_EXAMPLES]
    )
    rows = tuple(int(held_out.rows[(held_out.given == b).argmax()]) for _, _, b in pairs)
    sentence = counted(len(pairs), "pair of classes is", "pairs of classes are") + " often confused."
    advice = "Merge the two, or say more clearly which text is of which."
    return [Finding("confused classes", sentence, advice, rows, examples)]


def logistic_probabilities(features: np.ndarray, given: np.ndarray, seed: int = 0) -> np.ndarray:
    """Probabilities `[n_texts, n_classes]` of a logistic regression that did not see the text."""
    classes = tuple(range(int(given.max()) + 1))
    probabilities = np.zeros((len(given), len(classes)))
    support = LabelledTexts(list(map(str, range(len(given)))), torch.as_tensor(given), classes)
    for kept, held in support.folds(FOLDS, seed):
        model = LogisticRegression(C=C, max_iter=300, tol=1e-3).fit(features[kept.numpy()], given[kept.numpy()])
        probabilities[held.numpy()] = model.predict_proba(features[held.numpy()])
    return probabilities


def neighbour_probabilities(features: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Share of each class among the nearest other texts, weighted by their similarity."""
    n_texts, k = len(features), min(NEIGHBOURS, len(features) - 1)
    weights = np.zeros((n_texts, int(given.max()) + 1))
    for start in range(0, n_texts, 1024):
        part = np.arange(start, min(start + 1024, n_texts))
        cosine = features[part] @ features.T
        cosine[np.arange(len(part)), part] = -np.inf
        nearest = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        weight = np.exp(_SHARPNESS * (np.take_along_axis(cosine, nearest, axis=1) - 1))
        np.add.at(weights, (part[:, None], given[nearest]), weight)
    weights += _SMOOTHING * weights.sum(1, keepdims=True) / weights.shape[1] + 1e-30
    return weights / weights.sum(1, keepdims=True)
