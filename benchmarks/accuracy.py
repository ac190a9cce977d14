"""Accuracy on the class splits of banking77 and clinc150, and on medical_terms.

    FEWSHOT_DATA=DIR python -m benchmarks.accuracy [--tasks banking77 ...] [--learners ...] [--splits 01 ...]

Protocol (Dopierre et al. 2021): test classes, 600 episodes per split, 5 queries per class; mean over splits.
All-way is every test class at once, 1 shot, 100 episodes.  Every figure is one meta-training of its own, as
`python -m fewshot.run +task=TASK task.split=SPLIT ways=5 shots=1 queries=5 learner=LEARNER` makes it.
"""

import argparse
import logging
import statistics
import time
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from benchmarks.record import record
from fewshot.encoders import Encoder
from fewshot.experiment import ExperimentResult, run_experiment
from fewshot.report.results import scores
from fewshot.resources import shipped
from fewshot.settings import Settings

TASKS = ("banking77", "clinc150", "medical_terms")
# learner and whether label names are used, in the order of the table
SYSTEMS = {
    "centroid": ("centroid", False),
    "centroid + names": ("centroid", True),
    "logistic + names": ("logistic", True),
    "ridge + names": ("ridge", True),
    "prototypical": ("prototypical", False),
    "prototypical + names": ("prototypical", True),
    "attention": ("attention_prototypical", False),
    "attention + names": ("attention_prototypical", True),
}
ASKED = {"5w1s": (5, 1, 600), "5w5s": (5, 5, 600), "all1s": ("all", 1, 100)}
SPLITS = {"banking77": 5, "clinc150": 5, "medical_terms": 1}


def run_one(task: str, split: str, learner: str, names: bool, asked: str, encoder: Encoder) -> ExperimentResult:
    """One experiment as the main job composes it."""
    ways, shots, episodes = ASKED[asked]
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        config = compose("run", [f"+task={task}", f"task.split='{split}'", f"learner={learner}"])
    settings = Settings.checked(
        ways=ways, shots=shots, queries=5, episodes=episodes, label_names=names, baselines=[]
    )
    return run_experiment(
        instantiate(config.task),
        encoder,
        lambda dim: instantiate(config.learner, dim=dim),
        instantiate(config.training),
        settings,
        Path("outputs") / "episodes",
    )


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--splits", nargs="+", help="default: all of the task's")
    parser.add_argument("--name", default="accuracy", help="name of the file in benchmarks/results")
    chosen = parser.parse_args()
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        encoder = instantiate(compose("run").encoder)
    rows, runs = [], []
    for task in chosen.tasks:
        splits = chosen.splits or [f"{number:02d}" for number in range(1, SPLITS[task] + 1)]
        for system in chosen.systems:
            row, its_runs = _measure(task, system, splits, encoder)
            rows.append(row)
            runs.extend(its_runs)
            print(*row.values(), flush=True)
    command = "FEWSHOT_DATA=DIR python -m benchmarks.accuracy"
    record(chosen.name, command, rows, encoder={"model": encoder.model, "fingerprint": encoder.fingerprint}, runs=runs)


def _measure(task: str, system: str, splits: list[str], encoder: Encoder) -> tuple[dict[str, Any], list[dict]]:
    learner, names = SYSTEMS[system]
    started = time.perf_counter()
    row: dict[str, Any] = {"task": task, "system": system}
    runs = []
    for asked in ASKED:
        found = [run_one(task, split, learner, names, asked, encoder) for split in splits]
        means = [100 * result.evaluation.accuracy.mean for result in found]
        spread = f" ± {statistics.stdev(means):.1f}" if len(means) > 1 else f" ({_interval(found[0])})"
        row[asked] = f"{statistics.mean(means):.2f}{spread}"
        for split, result in zip(splits, found, strict=True):
            details = {"task": task, "system": system, "asked": asked, "split": split}
            details |= {"best_step": result.history.best_step, "episodes_sha256": result.episodes.sha256()}
            runs.append(details | scores(result.evaluation))
    row["seconds"] = round(time.perf_counter() - started)
    return row, runs


def _interval(result: ExperimentResult) -> str:
    return f"± {100 * (result.evaluation.accuracy.ci95 or 0):.1f} over episodes"


if __name__ == "__main__":
    main()
