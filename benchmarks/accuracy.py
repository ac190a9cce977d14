"""Accuracy on the class splits of banking77 and clinc150, and on medical_terms.

    FEWSHOT_DATA=DIR python -m benchmarks.accuracy [--tasks banking77 ...] [--systems centroid ...] [--splits 01 ...]

Protocol (Dopierre et al. 2021): test classes, 600 episodes per split, 5 queries per class; mean and standard
deviation over splits.  All-way is every test class at once, 1 shot, 100 episodes.  Inductive: each query is
classified by itself.  Every figure is a meta-training of its own, as the command line makes it:
`python -m fewshot.run +task=TASK task.split=SPLIT ways=5 shots=1 queries=5 learner=LEARNER label_names=BOOL`.
"""

import argparse
import logging
import shlex
import statistics
import sys
import time
from typing import Any

from benchmarks.experiments import SPLITS, default_encoder, experiment, splits_of
from benchmarks.record import record
from fewshot.encoders import Encoder
from fewshot.report.results import scores

# Learner, whether label names are used, and whether the shallow layer stands beside the embedding.
SYSTEMS = {
    "plain centroid": ("centroid", False, False),
    "plain centroid + names": ("centroid", True, False),
    "centroid": ("centroid", False, True),
    "centroid + names": ("centroid", True, True),
    "logistic + names": ("logistic", True, True),
    "ridge + names": ("ridge", True, True),
    "prototypical + names": ("prototypical", True, True),
    "maml": ("maml", False, True),
    "attention": ("attention_prototypical", False, True),
    "attention + names": ("attention_prototypical", True, True),
}
ASKED: dict[str, dict[str, Any]] = {
    "5w1s": {"ways": 5, "shots": 1, "episodes": 600},
    "5w5s": {"ways": 5, "shots": 5, "episodes": 600},
    "all1s": {"ways": "all", "shots": 1, "episodes": 100},
}


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(SPLITS), choices=list(SPLITS))
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--splits", nargs="+", help="default: all of the task's")
    parser.add_argument("--asked", nargs="+", default=list(ASKED), choices=list(ASKED))
    parser.add_argument("--set", nargs="+", default=[], help="overrides, such as training.steps=100")
    parser.add_argument("--name", default="accuracy", help="name of the file in benchmarks/results")
    chosen = parser.parse_args()
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    encoder = default_encoder(*(override for override in chosen.set if override.startswith("encoder.")))
    rows: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    for task in chosen.tasks:
        for system in chosen.systems:
            row = _measure(task, system, chosen, encoder, runs)
            rows.append(row)
            print(*row.values(), flush=True)
    command = shlex.join(["python", "-m", "benchmarks.accuracy", *sys.argv[1:]])
    record(chosen.name, command, rows, encoder={"model": encoder.model, "fingerprint": encoder.fingerprint}, runs=runs)


def _measure(
    task: str, system: str, chosen: argparse.Namespace, encoder: Encoder, runs: list[dict[str, Any]]
) -> dict[str, Any]:
    learner, names, shallow = SYSTEMS[system]
    if not shallow:
        encoder = encoder.replace(shallow_layer=None)
    started = time.perf_counter()
    splits = chosen.splits or splits_of(task)
    row: dict[str, Any] = {"task": task, "system": system}
    valid = []
    for asked in chosen.asked:
        means = []
        for split in splits:
            options = {"queries": 5, "label_names": names, **ASKED[asked]}
            result = experiment(task, split, learner, encoder, chosen.set, **options)
            means.append(100 * result.evaluation.accuracy.mean)
            best = result.trained.history.best_step
            valid.append(100 * result.trained.history.valid_accuracies.get(best, float("nan")))
            details = {"task": task, "system": system, "asked": asked, "split": split, "seed": 0, "best_step": best}
            runs.append(details | {"episodes_sha256": result.episodes.sha256()} | scores(result.evaluation))
        over_episodes = 100 * (result.evaluation.accuracy.ci95 or 0)
        spread = statistics.stdev(means) if len(means) > 1 else over_episodes
        row[asked] = f"{statistics.mean(means):.2f} ± {spread:.1f}"
    row["valid"] = f"{statistics.mean(valid):.2f}".replace("nan", "-")
    row["splits"] = len(splits)
    row["seconds"] = round(time.perf_counter() - started)
    return row


if __name__ == "__main__":
    main()
