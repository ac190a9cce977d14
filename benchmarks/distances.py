"""Intra-class and inter-class distance of each learner's metric, on frozen features and on a trained encoder's.

    FEWSHOT_DATA=DIR python -m benchmarks.distances [--tasks medical_terms ...] [--set encoder.model=FOLDER ...]

Test classes, 5-way 5-shot, 600 episodes, 15 queries per class, split 01, label names in use.  Every episode is
scaled so that the root-mean-square distance of its texts to their mean is 1; changes are against plain prototypes
on the frozen encoder.
"""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence

from benchmarks.experiments import SPLITS, default_encoder, experiment, load, protocol, recipe
from benchmarks.record import record
from fewshot.encoders import Encoder
from fewshot.experiment.trainings import train_encoder
from fewshot.training import Store

LEARNERS = ("centroid", "prototypical", "attention_prototypical")


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(SPLITS), choices=list(SPLITS))
    parser.add_argument("--set", nargs="+", default=[], help="overrides, such as encoder_training.steps=50")
    parser.add_argument("--name", default="distances", help="name of the file in benchmarks/results")
    chosen = parser.parse_args()
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    frozen = default_encoder(*chosen.set)
    rows = []
    for task in chosen.tasks:
        plain: dict[str, float] = {}
        for name, encoder in {"frozen": frozen, "meta-trained": trained(task, chosen.set)}.items():
            for learner in LEARNERS:
                evaluation = experiment(task, "01", learner, encoder).evaluation
                row: dict[str, object] = {"task": task, "encoder": name, "learner": learner}
                row["accuracy"] = f"{100 * evaluation.accuracy.mean:.1f}"
                for kind in ("intra", "inter"):
                    value = float(getattr(evaluation, f"{kind}_class_distance").mean())
                    reference = plain.setdefault(kind, value)
                    row[kind] = f"{value:.3f}"
                    row[f"{kind} change"] = f"{100 * (value / reference - 1):+.1f} %"
                rows.append(row)
    command = shlex.join(["python", "-m", "benchmarks.distances", *sys.argv[1:]])
    record(chosen.name, f"FEWSHOT_DATA=DIR {command}", rows, seed=0, encoder=frozen.fingerprint)


def trained(task_name: str, overrides: Sequence[str]) -> Encoder:
    """The encoder, meta-trained on the train classes as `trainable=full` has it."""
    task = load(task_name)
    plan = recipe("trainable=full", *overrides).plan(task, protocol(ways=5, shots=1))
    return train_encoder(task, plan, Store()).encoder


if __name__ == "__main__":
    main()
