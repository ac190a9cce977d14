"""Classifiers of texts with several labels or none, beside scikit-learn's one-vs-rest logistic regression.

    FEWSHOT_DATA=DIR python -m benchmarks.multi_label

Texts are joined from those of clinc150 and banking77: "text A. text B" has the labels of both. Of ten texts one has no
label (it is about something else), three have one, five two and one three; 20 labels, test classes of the first class
split, on which nothing was chosen; means of five draws of classes and texts, 500 other texts to score. scikit-learn
reads the same features, with its defaults, with balanced classes, with less penalty, and with label names as texts too.
"""

import logging
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier
from torch.nn.functional import normalize

from benchmarks.experiments import load
from benchmarks.record import record
from fewshot import FewShotClassifier, SentenceTransformerEncoder

N_LABELS, N_TEST, DRAWS = 20, 500, 5
WITH_NAMES = "and names"
N_TEXTS = (40, 80, 160, 500)


@dataclass(frozen=True)
class Drawn:
    """Texts with their labels, to fit to and to score on."""

    names: Mapping[str, str]
    texts: list[str]
    labels: list[list[str]]
    test_texts: list[str]
    test_labels: list[list[str]]


def drawn(name: str, n_texts: int, seed: int) -> Drawn:
    """Join texts of random test classes of a task; those that are fitted and those that are scored are others."""
    task, random = load(name, "01"), np.random.default_rng(seed)
    of_label: dict[str, list[str]] = {}
    for text, number in zip(task.texts, task.labels.tolist(), strict=True):
        of_label.setdefault(task.classes[number], []).append(text)
    test, train = ([task.classes[number] for number in task.parts[part]] for part in ("test", "train"))
    classes = random.permutation(test).tolist()
    own, others = sorted(classes[:N_LABELS]), classes[N_LABELS:] or train
    pools = {label: random.permutation(of_label[label]).tolist() for label in [*own, *others]}

    def joined(n: int, half: int) -> tuple[list[str], list[list[str]]]:
        texts, labels = [], []
        for _ in range(n):
            n_labels = int(random.choice(4, p=(0.1, 0.3, 0.5, 0.1)))
            chosen = random.choice(own, size=n_labels, replace=False).tolist()
            parts = [random.choice(pools[label][half::2]) for label in chosen or [random.choice(others)]]
            texts.append(". ".join(str(part).rstrip(".") for part in parts))
            labels.append(chosen)
        return texts, labels

    names = dict(zip(task.classes, task.label_names, strict=True))
    return Drawn({label: names[label] for label in own}, *joined(n_texts, 0), *joined(N_TEST, 1))


def scores(truth: np.ndarray, found: np.ndarray) -> list[float]:
    """Micro and macro F1 in percent."""
    return [100 * float(f1_score(truth, found, average=kind, zero_division=0)) for kind in ("micro", "macro")]


def matrix(labels: list[list[str]], names: Mapping[str, str]) -> np.ndarray:
    """Zeros and ones, a column for each label."""
    return np.array([[int(name in own) for name in names] for own in labels])


def main() -> None:
    """Measure and record."""
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    # It tells of labels that no drawn text has.
    warnings.filterwarnings("ignore", "Label not", UserWarning)
    encoder = SentenceTransformerEncoder()
    peers: dict[str, dict[str, Any]] = {
        "scikit-learn": {},
        "balanced": {"class_weight": "balanced"},
        "balanced, C=100": {"class_weight": "balanced", "C": 100.0},
        WITH_NAMES: {"class_weight": "balanced", "C": 100.0},
    }
    rows = list[dict[str, Any]]()
    for name in ("clinc150", "banking77"):
        for n_texts in N_TEXTS:
            found: dict[str, list[list[float]]] = {}
            seconds = []
            for seed in range(DRAWS):
                data = drawn(name, n_texts, seed)
                truth = matrix(data.test_labels, data.names)
                features = normalize(encoder.encode([*data.texts, *data.test_texts]), dim=-1).numpy()
                start = time.perf_counter()
                ours = FewShotClassifier(encoder=encoder, label_names=data.names).fit(data.texts, data.labels)
                seconds.append(time.perf_counter() - start)
                predicted = matrix([list(own) for own in ours.predict(data.test_texts)], data.names)
                found.setdefault("ours", []).append(scores(truth, predicted))
                known, targets = features[:n_texts], matrix(data.labels, data.names)
                for peer, settings in peers.items():
                    theirs = OneVsRestClassifier(LogisticRegression(max_iter=1000, **settings))
                    if peer == WITH_NAMES:
                        names = normalize(encoder.encode(list(data.names.values())), dim=-1).numpy()
                        known, targets = np.vstack([known, names]), np.vstack([targets, np.eye(N_LABELS, dtype=int)])
                    theirs.fit(known, targets)
                    predicted = theirs.predict(features[n_texts:])
                    found.setdefault(peer, []).append(scores(truth, predicted))
            row: dict[str, Any] = {"task": name, "texts": n_texts}
            for who, values in found.items():
                micro, macro = np.mean(values, 0)
                row |= {f"{who}: micro": float(micro), f"{who}: macro": float(macro)}
            rows.append(row | {"fit, seconds on cached texts": float(np.median(seconds))})
    record("multi_label", "python -m benchmarks.multi_label", rows, draws=DRAWS, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
