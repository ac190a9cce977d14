"""Three tasks trained together over one projection: equal, uncertainty and dynamic weights, and each task alone.

    FEWSHOT_DATA=DIR python -m benchmarks.joint [--seeds 5]

banking77, clinc150 and medical_terms (all classes, label names), 10 texts a class, 20 others of each class (half of a
small class) to score.  The encoder is frozen, the trained part is a projection of its features that the tasks share,
and a head for each.  A seed draws the support, what is held out of it, and the batches.  Intervals (95 %, Student's t)
are over seeds; differences to equal weights are paired by seed.
"""

import argparse
import logging

import torch

from benchmarks.continual_domains import accuracy, drawn
from benchmarks.experiments import load
from benchmarks.record import record
from fewshot import SentenceTransformerEncoder
from fewshot.episodes import LabelledTexts
from fewshot.evaluation import Estimate, paired_difference
from fewshot.joint import WEIGHTINGS, JointTraining

TASKS = ("banking77", "clinc150", "medical_terms")


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    encoder = SentenceTransformerEncoder()
    tasks = {name: load(name) for name in TASKS}
    found: dict[str, list[list[float]]] = {}
    for seed in range(seeds):
        parts = {name: drawn(task, seed) for name, task in tasks.items()}
        supports = {
            name: LabelledTexts.of(*parts[name][0], dict(zip(task.classes, task.label_texts(), strict=True)))
            for name, task in tasks.items()
        }
        ways = {"before": JointTraining(steps=0)} | {name: JointTraining(weighting=name) for name in WEIGHTINGS}
        fitted = {way: settings.fit(encoder, supports, seed) for way, settings in ways.items()}
        alone = {name: JointTraining().fit(encoder, {name: own}, seed)[name] for name, own in supports.items()}
        for way, classifiers in {**fitted, "each alone": alone}.items():
            scores = [accuracy(own, parts[name][1], own.labels) / 100 for name, own in classifiers.items()]
            found.setdefault(way, []).append([*scores, sum(scores) / len(scores)])
            print(seed, way, *scores, flush=True)
    equal = torch.tensor(found["equal"], dtype=torch.double)[:, -1]
    rows = []
    for way, values in found.items():
        own = torch.tensor(values, dtype=torch.double)
        row = {"weights": way} | {
            name: Estimate.of(own[:, place]).percent() for place, name in enumerate((*TASKS, "mean"))
        }
        against = "" if way == "equal" else paired_difference(own[:, -1], equal).percent(sign=True)
        rows.append(row | {"mean, against equal": against})
    record("joint", "FEWSHOT_DATA=DIR python -m benchmarks.joint", rows, runs=found, encoder=encoder.fingerprint)


if __name__ == "__main__":
    main()
