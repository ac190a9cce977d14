"""How large a task may be on one machine: `python -m benchmarks.scale`, about ten minutes.

Each row is measured in a process of its own, whose largest resident memory is its figure; features are synthetic.
`--only ROW` measures a row again. `benchmarks/results/scale.json` holds all, `docs/scale.svg` the picture.
"""

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.record import RESULTS, machine, show_rows
from benchmarks.scale_picture import draw
from benchmarks.synthetic_texts import DIM, SyntheticEncoder, synthetic_task, text_of
from fewshot import fitted
from fewshot.classifier import FewShotClassifier
from fewshot.episodes.sampler import sample_episodes
from fewshot.evaluation.evaluate import mean_accuracy
from fewshot.experiment.episodes import valid_episodes
from fewshot.experiment.experiment import run_experiment
from fewshot.experiment.protocol import Protocol
from fewshot.features import encoded_features
from fewshot.fitted.neighbours import Neighbours
from fewshot.learners import AttentionPrototypical, Centroid
from fewshot.meta_model import MetaModel
from fewshot.recipe import Recipe
from fewshot.report.results import versions
from fewshot.storage import write_json
from fewshot.tasks.task import ClassPools
from fewshot.training import MetaTrainer

Figures = dict[str, Any]

CLASSES = 10_000
ASKED = 200  # queries of the nearest neighbours


@contextmanager
def timed(figures: Figures, name: str) -> Iterator[None]:
    """Add the seconds of a block, and those of the processor: all threads together."""
    started, used = time.perf_counter(), time.process_time()
    yield
    figures[f"{name} s"] = round(time.perf_counter() - started, 4)
    figures[f"{name} cpu s"] = round(time.process_time() - used, 4)


def ways(n_classes: int) -> Figures:
    """All classes at once, 5 texts each, of 100: the default learner, not trained, and the default baselines."""
    figures: Figures = {"texts": 100 * n_classes}
    task = synthetic_task((2, 2, n_classes), 100)
    protocol = Protocol(ways=None, shots=5, episodes=1, classes="test", protocol="sampled")
    recipe = Recipe(encoder=SyntheticEncoder(n_classes + 4), trainer=MetaTrainer(steps=0), final_stage="none")
    with timed(figures, "experiment"):
        result = run_experiment(recipe, task, protocol)
    for name, one in {"attention": result.evaluation, **result.baselines}.items():
        figures[f"{name} s"], figures[f"{name} accuracy"] = round(one.seconds, 2), round(one.accuracy.mean, 4)
    return figures


def valid(n_classes: int) -> Figures:
    """One evaluation on valid classes, as meta-training with all ways makes it every few steps."""
    figures: Figures = {}
    task = synthetic_task((2, n_classes, 2), 30)
    features = encoded_features(SyntheticEncoder(n_classes + 4), task, label_names=True)
    episodes = valid_episodes(task, Protocol(ways=None, shots=5, classes="test", protocol="sampled"))
    learner = AttentionPrototypical(features.dim)
    with timed(figures, "evaluation"):
        figures["accuracy"] = round(mean_accuracy(learner, features, episodes), 4)
    return figures | {"episodes": sum(map(len, episodes))}


def sampler(per_class: int) -> Figures:
    """600 episodes of 5 ways and 5 shots, from 20 large classes."""
    figures: Figures = {}
    pools = ClassPools.from_labels(torch.arange(20).repeat_interleave(per_class), range(20))
    with timed(figures, "draw"):
        sample_episodes(pools, 600, 5, 5, 15, torch.Generator().manual_seed(0))
    return figures


def prototypes(n_texts: int) -> Figures:
    """Fit prototypes of 10,000 classes and predict 100,000 texts, through the front door."""
    figures: Figures = {}
    texts, labels = _texts(n_texts)
    queries = [text_of(number % CLASSES, n_texts + number) for number in range(100_000)]
    classifier = FewShotClassifier(encoder=SyntheticEncoder(CLASSES), stage="prototypes")
    with timed(figures, "fit"):
        classifier.fit(texts, labels)
    with timed(figures, "predict"):
        found = classifier.predict(queries)
    right = sum(int(label) == number % CLASSES for number, label in enumerate(found.tolist()))
    return figures | {"accuracy": round(right / len(queries), 4)}


def explain(n_texts: int) -> Figures:
    """Explain predictions of a classifier by the nearest of its texts."""
    figures: Figures = {}
    encoder = SyntheticEncoder(CLASSES)
    classifier = MetaModel(encoder, Centroid(DIM)).adapt(*_texts(n_texts))
    queries = [text_of(37 * number % CLASSES, n_texts + number) for number in range(ASKED)]
    with timed(figures, "first"):
        classifier.explain(queries[0])
    with timed(figures, f"{ASKED - 1} more"):
        for query in queries[1:]:
            classifier.explain(query)
    return figures


def nearest(n_texts: int) -> Figures:
    """The 10 and 100 nearest texts: by the index, and one by one."""
    figures: Figures = {}
    encoder = SyntheticEncoder(CLASSES)
    features = encoder.encode(_texts(n_texts)[0])
    queries = encoder.encode([text_of(37 * number % CLASSES, n_texts + number) for number in range(ASKED)])
    index = Neighbours(features, lambda rows: rows)
    with timed(figures, "build"):
        index.nearest(queries[0], 100)
    with timed(figures, f"{ASKED} by index"):
        found = [index.nearest(query, 100).tolist() for query in queries]
    fitted.neighbours.EXACT = n_texts  # of what is made from here on
    plain = Neighbours(features, lambda rows: rows)
    with timed(figures, f"{ASKED} one by one"):
        exact = [plain.nearest(query, 100).tolist() for query in queries]
    for k in (10, 100):
        figures[f"recall of {k}"] = round(_recall(found, exact, k), 4)
    return figures | (_graph(features, queries, exact) if n_texts <= 100_000 else {})


def _graph(features: torch.Tensor, queries: torch.Tensor, exact: list[list[int]]) -> Figures:
    """The same by hnswlib, if it is installed: the index that was not taken."""
    try:
        import hnswlib
    except ImportError:
        return {}
    figures: Figures = {}
    index = hnswlib.Index(space="ip", dim=DIM)
    index.init_index(len(features), ef_construction=100, M=16)
    index.set_num_threads(torch.get_num_threads())
    with timed(figures, "hnswlib build"):
        index.add_items(features.numpy())
    index.set_ef(400)
    with timed(figures, f"{ASKED} by hnswlib"):
        found = [index.knn_query(query[None].numpy(), k=100)[0][0].tolist() for query in queries]
    return figures | {f"hnswlib recall of {k}": round(_recall(found, exact, k), 4) for k in (10, 100)}


def _texts(n_texts: int) -> tuple[list[str], list[int]]:
    labels = [number % CLASSES for number in range(n_texts)]
    return [text_of(label, number) for number, label in enumerate(labels)], labels


def _recall(found: list[list[int]], exact: list[list[int]], k: int) -> float:
    hits = sum(len({*own[:k]} & {*right[:k]}) for own, right in zip(found, exact, strict=True))
    return hits / (k * len(exact))


ROWS: dict[str, tuple[Callable[[int], Figures], tuple[int, ...]]] = {
    "ways": (ways, (2_000,)),
    "valid": (valid, (399,)),
    "sampler": (sampler, (50_000,)),
    "prototypes": (prototypes, (10_000, 100_000, 1_000_000)),
    "explain": (explain, (1_000_000,)),
    "nearest": (nearest, (100_000, 1_000_000)),
}


def main() -> None:
    """Measure all rows, or one again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ROWS, help="measure this row alone")
    parser.add_argument("--size", type=int, help="measure it in this process, at this size")
    given = parser.parse_args()
    if given.size is not None:
        logging.disable(logging.WARNING)
        figures = ROWS[given.only][0](given.size)
        figures["GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
        print(json.dumps(figures))
        return
    path = RESULTS / "scale.json"
    rows: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else {}
    for name in ROWS if given.only is None else [given.only]:
        rows[name] = [_in_a_process(name, size) for size in ROWS[name][1]]
        show_rows(name, rows[name])
        about = {"versions": versions(), "machine": machine()}
        write_json(path, {"command": "python -m benchmarks.scale", "rows": rows, **about})
    draw(rows["prototypes"])


def _in_a_process(name: str, size: int) -> Figures:
    command = [sys.executable, "-m", "benchmarks.scale", "--only", name, "--size", str(size)]
    before = os.getloadavg()[0]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"size": size, **json.loads(done.stdout.splitlines()[-1]), "load before": round(before, 1)}


if __name__ == "__main__":
    main()
