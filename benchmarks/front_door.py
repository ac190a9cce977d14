"""`FewShotClassifier` beside scikit-learn and adaptive-classifier: accuracy, calibration, seconds, texts per second.

    FEWSHOT_DATA=DIR python -m benchmarks.front_door [--tasks banking77 ...] [--shots 2 ...] [--seeds 0 ...]

All classes at once: 77 of banking77, 150 of clinc150, 95 of medical_terms. The test part is up to 40 texts of each
class, or half of the smallest; a seed is a draw of the support from the rest. All but TF-IDF go by the same MiniLM
weights on the same threads, and keep no features of texts. Each sees texts and labels alone; the labels are the tasks'
label names, which ours reads, as it does by default. ± is the 95 % interval over test texts alone. Fitting includes
encoding the support, not loading the weights.
adaptive-classifier 0.3.1 is measured where it is installed (`pip install --no-deps adaptive-classifier faiss-cpu`).
Beside the rows, `added` tells of ten classes of five texts that are added to a fitted classifier of sixty.
Rows are written one by one, and not measured again: move the file away to begin anew.
"""

import argparse
import importlib.util
import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from benchmarks.experiments import load
from benchmarks.record import RESULTS, record
from fewshot import FewShotClassifier, SentenceTransformerEncoder, Task
from fewshot.encoders.source import bundled_folder
from fewshot.episodes.frozen import fixed_test_episodes
from fewshot.evaluation.metrics import expected_calibration_error

TASKS, SHOTS, SEEDS, TEST_TEXTS = ("banking77", "clinc150", "medical_terms"), (2, 5, 10, 50), (0,), 40
OURS = "FewShotClassifier"


class Embedded:
    """Logistic regression on the embeddings of sentence-transformers."""

    def __init__(self) -> None:
        from sentence_transformers import SentenceTransformer

        self.encoder = SentenceTransformer(str(bundled_folder()), device="cpu")
        self.classifier = LogisticRegression(max_iter=1000)

    def fit(self, texts: list[str], labels: list[str]) -> "Embedded":
        """Encode and fit."""
        self.classifier.fit(self.encoder.encode(texts), labels)
        return self

    def predict(self, texts: list[str]) -> list[str]:
        """Encode and predict."""
        return list(self.classifier.predict(self.encoder.encode(texts)))


class Adaptive:
    """adaptive-classifier, as its documentation uses it."""

    def __init__(self) -> None:
        from adaptive_classifier import AdaptiveClassifier

        self.classifier = AdaptiveClassifier(str(bundled_folder()), device="cpu", use_onnx=False)

    def fit(self, texts: list[str], labels: list[str]) -> "Adaptive":
        """Add all examples at once."""
        self.classifier.add_examples(texts, labels)
        return self

    def predict(self, texts: list[str]) -> list[str]:
        """The first of each ranking."""
        return [ranked[0][0] for ranked in self.classifier.predict_batch(texts, k=1)]


def systems() -> dict[str, Callable[[], Any]]:
    """Name → what makes a classifier."""
    encoder = SentenceTransformerEncoder(cache=None)
    encoder.encode(["load the weights"])
    found: dict[str, Callable[[], Any]] = {
        OURS: lambda: FewShotClassifier(encoder=encoder),
        "logistic regression on embeddings": Embedded,
        "TF-IDF and logistic regression": lambda: make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000)),
    }
    if importlib.util.find_spec("adaptive_classifier") is not None:
        found["adaptive-classifier"] = Adaptive
    return found


def draws(task: Task, shots: int, seeds: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Texts of the support and of the test part, for each seed; small classes give what they have."""
    classes = range(len(task.classes))
    episodes = fixed_test_episodes(task, classes, None, shots, TEST_TEXTS, max(seeds) + 1)
    return [
        (one.support[one.support_mask].tolist(), one.query[one.query >= 0].tolist())
        for one in map(episodes.__getitem__, seeds)
    ]


def measure(make: Callable[[], Any], task: Task, support: list[int], test: list[int]) -> dict[str, float]:
    """One fit and one prediction."""
    names = task.label_names
    texts, labels = [task.texts[i] for i in support], [names[task.labels[i]] for i in support]
    queries, right = [task.texts[i] for i in test], [names[task.labels[i]] for i in test]
    classifier = make()
    started = time.perf_counter()
    classifier.fit(texts, labels)
    fitted = time.perf_counter()
    predicted = classifier.predict(queries)
    done = time.perf_counter()
    row = {"accuracy": float(np.mean([a == b for a, b in zip(predicted, right, strict=True)]))}
    row |= {"fit s": fitted - started, "texts/s": len(queries) / (done - fitted)}
    if isinstance(classifier, FewShotClassifier):
        probabilities = torch.from_numpy(classifier.predict_proba(queries))
        places = {label: place for place, label in enumerate(classifier.classes_.tolist())}
        targets = torch.tensor([places[label] for label in right])
        row["ECE"] = float(expected_calibration_error(probabilities.log()[None], targets[None]))
    return row


def added(task: Task) -> dict[str, Any]:
    """Ten classes of five texts are added to a classifier of sixty; cached texts, and beside a fit on all."""
    (support, test), *_ = draws(task, 5, (0,))
    names = task.label_names
    old = [place for place in support if int(task.labels[place]) < 60]
    new = [place for place in support if 60 <= int(task.labels[place]) < 70]
    asked = [place for place in test if int(task.labels[place]) < 70]

    def columns(places: list[int]) -> tuple[list[str], list[str]]:
        return [task.texts[place] for place in places], [names[task.labels[place]] for place in places]

    encoder = SentenceTransformerEncoder()
    encoder.encode([task.texts[place] for place in [*support, *asked]])
    grown = FewShotClassifier(encoder=encoder).fit(*columns(old))
    encoder.encode([names[number] for number in range(70)])
    started = time.perf_counter()
    grown.partial_fit(*columns(new))
    seconds = time.perf_counter() - started
    whole = FewShotClassifier(encoder=encoder).fit(*columns([*old, *new]))
    return {"seconds": seconds, "accuracy": grown.score(*columns(asked)), "fit on all": whole.score(*columns(asked))}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--shots", nargs="+", type=int, default=SHOTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    options = parser.parse_args()
    logging.getLogger("fewshot").setLevel(logging.ERROR)
    command = "python -m benchmarks.front_door"
    file = RESULTS / "front_door.json"
    rows: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else []
    measured = {(row["task"], row["shots"], row["system"]) for row in rows}
    for name in options.tasks:
        task = load(name)
        for shots in options.shots:
            drawn = draws(task, shots, options.seeds)
            for system, make in systems().items():
                if (name, shots, system) in measured:
                    continue
                runs = [measure(make, task, *draw) for draw in drawn]
                mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
                half = 196 * (mean["accuracy"] * (1 - mean["accuracy"]) / len(drawn[0][1])) ** 0.5
                rows.append({"task": name, "shots": shots, "system": system, **mean, "ECE": mean.get("ECE", "")})
                rows[-1]["accuracy"] = f"{100 * mean['accuracy']:.1f} ± {half:.1f}"
                record("front_door", command, rows, threads=torch.get_num_threads())
    record(
        "front_door",
        command,
        rows,
        added={name: added(load(name)) for name in options.tasks},
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    main()
