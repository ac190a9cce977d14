"""Accuracy with encoders that are meta-trained, beside the same learner on the frozen encoder.

    FEWSHOT_DATA=DIR python -m benchmarks.meta_trained [--tasks banking77 ...] [--splits 01 ...] [--names true false]
        [--beside clinc150 snips ... --sources DIR]

Protocol as in `benchmarks.accuracy`.  For each class split one encoder is trained, with `trainable=full`, on
the train classes and selected on 1-shot episodes of the valid classes; the learner is then meta-trained on its features
for each setting.  On the command line: `python -m fewshot.run +task=TASK task.split=SPLIT trainable=full`.
`--valid` looks at valid classes only, which is what settings are to be tuned on.

With `--beside` the encoder is trained on these data sets too, on all of their classes, each episode within one, and
selected on the valid classes of the scored one alone; the learner is meta-trained on the scored one.
"""

import argparse
import logging
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.accuracy import ASKED
from benchmarks.experiments import SPLITS, STORE, frozen, load, protocol, recipe, splits_of
from benchmarks.record import record
from fewshot.encoders import Encoder
from fewshot.experiment.episodes import TaskEncoder, episodes_of
from fewshot.experiment.evaluating import score
from fewshot.experiment.meta_training import meta_train
from fewshot.experiment.trainings import train_encoder
from fewshot.report.results import scores
from fewshot.tasks import Task, collect, load_folder
from fewshot.training import Store

LEARNER = "attention_prototypical"


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(SPLITS), choices=list(SPLITS))
    parser.add_argument("--splits", nargs="+", help="default: all of the task's")
    parser.add_argument("--names", nargs="+", default=["true", "false"], choices=["true", "false"])
    parser.add_argument("--beside", nargs="+", default=[], help="data sets that the encoder is trained on as well")
    parser.add_argument("--sources", type=Path, help="folder of those that are neither bundled nor in $FEWSHOT_DATA")
    parser.add_argument("--asked", nargs="+", default=list(ASKED), choices=list(ASKED))
    parser.add_argument("--set", nargs="+", default=[], help="overrides, such as trainable=lora")
    parser.add_argument("--valid", action="store_true", help="look at valid classes only; nothing is recorded")
    parser.add_argument("--frozen", action="store_true", help="measure the frozen encoder as well")
    parser.add_argument("--name", default="meta_trained", help="name of the file in benchmarks/results")
    chosen = parser.parse_args()
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    runs: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for task in chosen.tasks:
        for names in chosen.names:
            for split in chosen.splits or splits_of(task):
                own = measure(task, split, names == "true", chosen)
                runs += own
                print(*(f"{run['system']} {run['asked']} {run['valid']:.2f}" for run in own), split, flush=True)
            rows += table(task, names == "true", runs, chosen.asked)
    for row in rows:
        print(*row.values(), flush=True)
    if not chosen.valid:
        typed = ["DIR" if word == str(chosen.sources) else word for word in sys.argv[1:]]
        command = shlex.join(["python", "-m", "benchmarks.meta_trained", *typed])
        record(chosen.name, command, rows, runs=runs)


def measure(task_name: str, split: str, names: bool, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Train one encoder, and the learner on its features for each setting."""
    default = [] if any("trainable=" in override for override in chosen.set) else ["trainable=full"]
    overrides = (f"learner={LEARNER}", *default, *chosen.set)
    task, how = load(task_name, split), recipe(*overrides)
    trained_on = with_others(task_name, task, chosen)
    plan = replace(how, augmentation=None).plan(trained_on, protocol(ways=5, shots=1, label_names=names))
    started = time.perf_counter()
    trained = train_encoder(trained_on, plan, Store())
    seconds = time.perf_counter() - started
    systems: dict[str, Encoder] = {"meta-trained": trained.encoder}
    if chosen.frozen:
        systems = {"frozen": how.encoder, **systems}
    details = {"task": task_name, "split": split, "names": names, "best_step": trained.history.best_step}
    details |= {"kept": trained.kept, "minutes": seconds / 60, "parameters": trained.parameters.trained}
    runs, encoded = [], TaskEncoder(task, names)
    for system, used in systems.items():
        for asked in chosen.asked:
            with_encoder = replace(frozen(*overrides), encoder=used)
            plan = with_encoder.plan(task, protocol(queries=5, label_names=names, **ASKED[asked]))
            found = meta_train(task, plan, encoded=encoded)
            valid = 100 * found.history.valid_accuracies[found.history.best_step]
            run = {"system": system, "asked": asked, **details, "valid": valid}
            if not chosen.valid:
                test = episodes_of(task, plan.protocol, STORE.episodes)
                run |= scores(score(found.model, task, test, plan, encoded).evaluation)
            runs.append(run)
    return runs


def with_others(name: str, task: Task, chosen: argparse.Namespace) -> Task:
    """The task as one source among those it is trained beside; what they hold out is trained on as well."""
    others = {}
    for other in chosen.beside:
        if other == name:
            continue
        here = chosen.sources is not None and (chosen.sources / other).is_dir()
        own = load_folder(chosen.sources / other, other, duplicates="drop") if here else load(other)
        everything = tuple(range(len(own.classes)))
        others[other] = replace(own, parts={"train": everything, "valid": (), "test": ()})
    return collect({name: task, **others})


def table(task: str, names: bool, runs: Sequence[dict[str, Any]], asked: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each system: means over the splits with their standard deviation."""
    rows = []
    for system in dict.fromkeys(run["system"] for run in runs):
        own = [run for run in runs if (run["system"], run["task"], run["names"]) == (system, task, names)]
        row: dict[str, Any] = {"task": task, "names": names, "system": system}
        for setting in asked:
            these = [run for run in own if run["asked"] == setting]
            means = [100 * run["accuracy"]["mean"] if "accuracy" in run else run["valid"] for run in these]
            over_episodes = 100 * these[0]["accuracy"]["ci95"] if "accuracy" in these[0] else 0.0
            spread = statistics.stdev(means) if len(means) > 1 else over_episodes
            row[setting] = f"{statistics.mean(means):.2f} ± {spread:.1f}"
        row["minutes"] = round(statistics.mean(run["minutes"] for run in own), 1)
        row["splits"] = len({run["split"] for run in own})
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
