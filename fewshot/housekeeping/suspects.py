"""Labels that the other texts speak against: out-of-fold probabilities of a logistic regression and of neighbours.

    p(c | x) = (p_logistic(c | x) + p_neighbours(c | x)) / 2
    score(x, y) = log p(y | x) - max_{c != y} log p(c | x)

No text is judged by a model that saw it. The ratio of the two probabilities finds more wrong labels than the plain
confidence p(y | x), than their difference and than cleanlab's adjusted scores, see `benchmarks.housekeeping`, for which
it was chosen on other draws and tasks.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression

from fewshot.housekeeping.findings import N_EXAMPLES, Finding, counted, quoted
from fewshot.housekeeping.labels import folded

if TYPE_CHECKING:
    from fewshot.encoders import Encoder

FOLDS = 5
C = 10.0  # inverse strength of the penalty, of unit features
NEIGHBOURS = 10
_SHARPNESS = 20.0  # of the weight exp(s cosine) of a neighbour
_RARE = 1e-3  # of the weight of all neighbours, which each class has
SUSPECT = -1.5  # score below which a label is told as likely wrong
CONFUSED = 0.3  # share of the texts of two classes that are taken for the other, from which they may be one
_FEWEST = 5  # texts so taken


@dataclass(frozen=True)
class OutOfFold:
    """What classifiers that did not see a text say of it.

    Args:
        rows: places of the texts; classes of one text are left out.
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
        """How far the other texts agree with each label; a logarithm, below 0 if another label is more probable."""
        logs = np.log(self.probabilities + 1e-12)
        own = logs[np.arange(len(logs)), self.given]
        return own - self._others(logs).max(1)

    @property
    def proposed(self) -> np.ndarray:
        """The most probable other class of each text."""
        return self._others(self.probabilities).argmax(1)

    def _others(self, values: np.ndarray) -> np.ndarray:
        others = values.copy()
        others[np.arange(len(others)), self.given] = -np.inf
        return others


def features_and_pieces(encoder: "Encoder", texts: Sequence[str]) -> tuple[np.ndarray, list[int]]:
    """Unit features of texts, each read to its end, and in how many pieces each was read."""
    pieces, counts = encoder.encode_pieces(texts)
    rows = np.repeat(np.arange(len(texts)), counts)
    features = np.zeros((len(texts), pieces.shape[1]))
    np.add.at(features, rows, pieces.double().numpy())
    return features / np.maximum(1e-12, np.linalg.norm(features, axis=1, keepdims=True)), counts


def out_of_fold(features: np.ndarray, labels: Sequence[str], seed: int = 0) -> OutOfFold | None:
    """Judge each text by the others; None if fewer than two classes have two texts.

    Args:
        features: unit features `[n_texts, dim]`.
        labels: of each text; one of "" is left out, and ways to write a label are one class.
        seed: of the folds.
    """
    sizes = Counter(map(folded, labels))
    main: dict[str, str] = {}
    for label, _ in Counter(labels).most_common():
        main.setdefault(folded(label), label)
    rows = np.array([row for row, label in enumerate(labels) if folded(label) and sizes[folded(label)] > 1], dtype=int)
    classes = tuple(sorted({main[folded(labels[row])] for row in rows}))
    if len(classes) < 2:
        return None
    number = {label: place for place, label in enumerate(classes)}
    given = np.array([number[main[folded(labels[row])]] for row in rows])
    own = features[rows]
    probabilities = (_logistic(own, given, seed) + _neighbours(own, given)) / 2
    return OutOfFold(rows, classes, given, probabilities)


def suspect_findings(judged: OutOfFold, texts: Sequence[str], places: Sequence[str]) -> list[Finding]:
    """Texts that are likely mislabelled, the worst first, and pairs of classes that may be one."""
    return _mislabelled(judged, texts, places) + _confused(judged)


def _mislabelled(judged: OutOfFold, texts: Sequence[str], places: Sequence[str]) -> list[Finding]:
    scores, proposed = judged.scores, judged.proposed
    worst = [place for place in np.argsort(scores, kind="stable").tolist() if scores[place] < SUSPECT]
    if not worst:
        return []
    examples = []
    for place in worst[:N_EXAMPLES]:
        row, own, other = judged.rows[place], judged.classes[judged.given[place]], judged.classes[proposed[place]]
        examples.append(f"{places[row]}: {quoted(texts[row])} is {quoted(own)}, the others say {quoted(other)}")
    sentence = counted(len(worst), "text is", "texts are") + " likely mislabelled."
    advice = "Look at them, the worst first, and correct those that are wrong."
    return [Finding("mislabelled", sentence, advice, tuple(judged.rows[worst].tolist()), tuple(examples))]


def _confused(judged: OutOfFold) -> list[Finding]:
    predicted = judged.probabilities.argmax(1)
    table = np.zeros((len(judged.classes), len(judged.classes)), dtype=int)
    np.add.at(table, (judged.given, predicted), 1)
    swapped, right = table + table.T, table.diagonal()
    shares = swapped / np.maximum(1, swapped + right[:, None] + right[None])
    pairs = [
        (float(shares[a, b]), a, b)
        for a, b in np.argwhere(np.triu(shares, 1) >= CONFUSED).tolist()
        if swapped[a, b] >= _FEWEST and min(table[a, b], table[b, a]) > 0
    ]
    if not pairs:
        return []
    pairs.sort(reverse=True)
    examples = tuple(
        f"{quoted(judged.classes[a])} and {quoted(judged.classes[b])}: {share:.0%} are taken for the other"
        for share, a, b in pairs[:N_EXAMPLES]
    )
    rows = tuple(int(judged.rows[(judged.given == b).argmax()]) for _, _, b in pairs)
    sentence = counted(len(pairs), "pair of classes is", "pairs of classes are") + " hardly told apart."
    return [
        Finding("confused classes", sentence, "Merge them, or say more clearly which text is of which.", rows, examples)
    ]


def _logistic(features: np.ndarray, given: np.ndarray, seed: int) -> np.ndarray:
    probabilities = np.zeros((len(given), int(given.max()) + 1))
    fold = _folds(given, seed)
    for number in range(int(fold.max()) + 1):
        kept, held = fold != number, fold == number
        model = LogisticRegression(C=C, max_iter=300, tol=1e-3).fit(features[kept], given[kept])
        probabilities[np.ix_(held, model.classes_)] = model.predict_proba(features[held])
    return probabilities


def _folds(given: np.ndarray, seed: int) -> np.ndarray:
    """The fold of each text; those of a class go to the folds in turn, from a drawn first one."""
    random = np.random.default_rng(seed)
    fold = np.zeros(len(given), dtype=int)
    for number in np.unique(given):
        members = random.permutation(np.flatnonzero(given == number))
        fold[members] = (random.integers(FOLDS) + np.arange(len(members))) % FOLDS
    return np.unique(fold, return_inverse=True)[1]


def _neighbours(features: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Share of each class among the nearest other texts, the nearer the more."""
    n_texts, k = len(features), min(NEIGHBOURS, len(features) - 1)
    weights = np.full((n_texts, int(given.max()) + 1), 0.0)
    for start in range(0, n_texts, 1024):
        part = np.arange(start, min(start + 1024, n_texts))
        cosine = features[part] @ features.T
        cosine[np.arange(len(part)), part] = -np.inf
        nearest = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        weight = np.exp(_SHARPNESS * (np.take_along_axis(cosine, nearest, axis=1) - 1))
        np.add.at(weights, (part[:, None], given[nearest]), weight)
    weights += _RARE * weights.sum(1, keepdims=True) / weights.shape[1] + 1e-30
    return weights / weights.sum(1, keepdims=True)
