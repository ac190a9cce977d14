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

from benchmarks.experiments import SPLITS, composed, default_encoder, experiment
from benchmarks.record import record
from fewshot.encoders import Encoder
from fewshot.experiment import meta_train_encoder
from fewshot.run import build
from fewshot.settings import Settings

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
    config = composed(f"+task={task_name}", "task.split='01'", "trainable=full", *overrides)
    task, encoder, trainable = (build(config, group) for group in ("task", "encoder", "trainable"))
    trainer = build(config, "encoder_training")
    settings = Settings.checked(ways=5, shots=1)
    make_learner = lambda dim: build(config, "learner", dim=dim)  # noqa: E731
    return meta_train_encoder(task, encoder, trainable, make_learner, trainer, settings).encoder


if __name__ == "__main__":
    main()
