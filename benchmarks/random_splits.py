"""The default run beside its best baseline, on class splits that were drawn at random.

    FEWSHOT_DATA=DIR python -m benchmarks.random_splits

Five tasks, three splits each, 5-way, 1 and 5 shots, 600 episodes. A quarter of the classes (five at least) is scored,
and a quarter (four at least) selects. The difference is paired, its interval is for other classes and texts; the best
baseline is the best of six on these very episodes, which flatters it.
"""

import logging
import random
from dataclasses import replace
from typing import Any

from benchmarks.experiments import STORE, load, recipe
from benchmarks.record import record
from fewshot.experiment.experiment import run_experiment
from fewshot.experiment.protocol import Protocol
from fewshot.tasks import Task
from fewshot.tasks.task import Part

TASKS = ("banking77", "clinc150", "medical_terms", "bank_bot", "failure_modes")
QUERIES = 5


def at_random(task: Task, seed: int, fewest_texts: int) -> Task:
    """The task with its classes split at random; classes of fewer texts select or train."""
    classes = list(range(len(task.classes)))
    random.Random(seed).shuffle(classes)
    sizes = task.labels.bincount()[classes].tolist()
    classes = [c for _, c in sorted(zip(sizes, classes, strict=True), key=lambda pair: pair[0] < fewest_texts)]
    test, valid = (max(fewest, len(classes) // 4) for fewest in (5, 4))
    parts: dict[Part, list[int]] = {
        "test": classes[:test],
        "valid": classes[test : test + valid],
        "train": classes[test + valid :],
    }
    return replace(
        task, parts={part: tuple(sorted(ids)) for part, ids in parts.items()}, split=f"random {seed}", has_split=True
    )


def main() -> None:
    """Measure and record."""
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    how, rows = recipe(), list[dict[str, Any]]()
    for name in TASKS:
        whole = load(name)
        for seed in (1, 2, 3):
            for shots in (1, 5):
                task = at_random(whole, seed, shots + QUERIES)
                result = run_experiment(how, task, Protocol(shots=shots, queries=QUERIES), STORE)
                best = max(result.baselines, key=lambda one: result.baselines[one].accuracy.mean)
                gain = result.evaluation.difference(result.baselines[best])
                low, high = gain.interval or (float("nan"), float("nan"))
                rows.append(
                    {
                        "task": name,
                        "split": seed,
                        "shots": shots,
                        "default": 100 * result.evaluation.accuracy.mean,
                        "best baseline": best,
                        "its": 100 * result.baselines[best].accuracy.mean,
                        "difference": 100 * gain.mean,
                        "interval": f"{100 * low:+.1f} to {100 * high:+.1f}",
                        "trained": "encoder" if result.model.encoder.trained else "",
                        "below": high < 0,
                    }
                )
                print(rows[-1], flush=True)
    below = sum(row["below"] for row in rows)
    record("random_splits", "python -m benchmarks.random_splits", rows, runs_surely_below=below, seed=0)


if __name__ == "__main__":
    main()
