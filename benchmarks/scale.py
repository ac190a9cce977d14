"""How large a task may be on one machine: `python -m benchmarks.scale`.

Each row is measured in a process of its own, whose largest resident memory is the figure; features are synthetic.
`benchmarks/results/scale.json` holds the rows, `docs/scale.svg` the picture of the linear ones.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.synthetic_texts import SyntheticEncoder, synthetic_task, text_of
from fewshot.classifier import FewShotClassifier
from fewshot.episodes.sampler import sample_episodes
from fewshot.evaluation.evaluate import mean_accuracy
from fewshot.experiment.episodes import valid_episodes
from fewshot.experiment.experiment import run_experiment
from fewshot.experiment.protocol import Protocol
from fewshot.features import encoded_features
from fewshot.learners import AttentionPrototypical
from fewshot.recipe import Recipe
from fewshot.tasks.task import ClassPools

Figures = dict[str, Any]


@contextmanager
def timed(figures: Figures, name: str) -> Iterator[None]:
    """Add the seconds of a block, and those of the processor."""
    started, used = time.perf_counter(), time.process_time()
    yield
    figures[f"{name} s"] = round(time.perf_counter() - started, 3)
    figures[f"{name} cpu s"] = round(time.process_time() - used, 3)


def ways(n_classes: int = 2_000, per_class: int = 100) -> Figures:
    """All classes at once, 5 texts each: the default learner and the default baselines on one episode."""
    figures: Figures = {}
    task = synthetic_task((0, 0, n_classes), per_class)
    protocol = Protocol(ways=None, shots=5, episodes=1, classes="all", protocol="sampled")
    with timed(figures, "experiment"):
        result = run_experiment(Recipe(encoder=SyntheticEncoder(n_classes)), task, protocol)
    scores = {"model": result.evaluation, **result.baselines}
    return figures | {
        name: {"seconds": round(one.seconds, 2), "accuracy": one.accuracy.mean} for name, one in scores.items()
    }


def valid(n_classes: int = 399) -> Figures:
    """One evaluation on the valid classes, as meta-training makes it every few steps."""
    figures: Figures = {}
    task = synthetic_task((2, n_classes, 2), 30)
    features = encoded_features(SyntheticEncoder(n_classes + 4), task, label_names=True)
    episodes = valid_episodes(task, Protocol(ways=None, shots=5, classes="test", protocol="sampled"))
    learner = AttentionPrototypical(features.dim)
    with timed(figures, "evaluation"):
        figures["accuracy"] = mean_accuracy(learner, features, episodes)
    return figures | {"episodes": [len(batch) for batch in episodes]}


def sampler(per_class: int = 50_000) -> Figures:
    """600 episodes of 5 ways and 5 shots, from 20 large classes."""
    figures: Figures = {}
    pools = ClassPools.from_labels(torch.arange(20).repeat_interleave(per_class), range(20))
    with timed(figures, "draw"):
        sample_episodes(pools, 600, 5, 5, 15, torch.Generator().manual_seed(0))
    return figures


def prototypes(n_texts: int, n_classes: int = 10_000, n_queries: int = 100_000) -> Figures:
    """Fit a classifier by prototypes and predict, through the front door."""
    figures: Figures = {"texts": n_texts, "classes": n_classes}
    labels = [number % n_classes for number in range(n_texts)]
    texts = [text_of(label, number) for number, label in enumerate(labels)]
    queries = [text_of(number % n_classes, n_texts + number) for number in range(n_queries)]
    classifier = FewShotClassifier(encoder=SyntheticEncoder(n_classes), stage="prototypes")
    with timed(figures, "fit"):
        classifier.fit(texts, labels)
    with timed(figures, "predict"):
        found = classifier.predict(queries)
    right = sum(int(label) == number % n_classes for number, label in enumerate(found.tolist()))
    return figures | {"accuracy": right / n_queries}


ROWS: dict[str, Callable[..., Figures]] = {
    "ways": ways,
    "valid": valid,
    "sampler": sampler,
    "prototypes": prototypes,
}


def main() -> None:
    """Measure one row in this process, or all, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--size", type=int, help="of the row: texts or classes")
    given = parser.parse_args()
    if given.row is not None:
        figures = ROWS[given.row](*([] if given.size is None else [given.size]))
        figures["peak GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
