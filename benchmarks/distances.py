"""Intra-class and inter-class distance of each learner's metric, on the same frozen features.

    FEWSHOT_DATA=DIR python -m benchmarks.distances [--tasks medical_terms ...]

Test classes, 5-way 5-shot, 600 episodes, 15 queries per class, split 01, label names in use.  Every episode is
scaled so that the root-mean-square distance of its texts to their mean is 1; changes are against plain prototypes.
"""

import argparse
import logging

from benchmarks.experiments import SPLITS, default_encoder, experiment
from benchmarks.record import record

LEARNERS = ("centroid", "prototypical", "attention_prototypical")


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(SPLITS), choices=list(SPLITS))
    tasks = parser.parse_args().tasks
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    encoder = default_encoder()
    rows = []
    for task in tasks:
        plain: dict[str, float] = {}
        for learner in LEARNERS:
            evaluation = experiment(task, "01", learner, encoder).evaluation
            row: dict[str, object] = {"task": task, "learner": learner}
            for name in ("intra", "inter"):
                value = float(getattr(evaluation, f"{name}_class_distance").mean())
                reference = plain.setdefault(name, value)
                row[name] = f"{value:.3f}"
                row[f"{name} change"] = f"{100 * (value / reference - 1):+.1f} %"
            rows.append(row)
    record("distances", "FEWSHOT_DATA=DIR python -m benchmarks.distances", rows, seed=0, encoder=encoder.fingerprint)


if __name__ == "__main__":
    main()
