"""What augmentation does to accuracy, source by source, and how fast it makes texts.

    FEWSHOT_DATA=DIR python -m benchmarks.augmentation [--tasks medical_terms ...] [--parts sources names speed]

*sources*: attention prototypes with label names, meta-trained once; then the support of the same frozen test episodes
with the new texts of each source alone, of all together, and as `augment=auto` decides on the valid classes.  The gain
is paired, with its 95 % interval.  *names*: logistic regression, all test classes at once, 1 shot: macro-F1 with label
names and augmentation against neither.  *speed*: 5 texts of each class of banking77 made into 200, filter included.
Split 01, test classes, 5 queries per class, seed 0.
"""

import argparse
import logging
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from benchmarks.experiments import SPLITS, STORE, load, protocol, recipe, splits_of
from benchmarks.record import record
from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.texts import augment_texts
from fewshot.evaluation import Estimate, Evaluation, evaluate, paired_difference
from fewshot.evaluation.metrics import macro_f1
from fewshot.experiment.augmentation import AugmentationPhase, for_part
from fewshot.experiment.episodes import TaskEncoder, episodes_of, valid_episodes
from fewshot.experiment.meta_training import meta_train
from fewshot.experiment.plan import Plan
from fewshot.features import TaskFeatures
from fewshot.learners import LEARNERS, Learner
from fewshot.tasks import Task

PARTS = ("sources", "names", "speed")
FEW = ("trainable=none", "augment.per_text=10")


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(SPLITS), choices=list(SPLITS))
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 5])
    parser.add_argument("--set", nargs="+", default=[], help="overrides, such as augment.weight=1")
    parser.add_argument("--name", default="augmentation", help="name of the files in benchmarks/results")
    chosen = parser.parse_args()
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    command = shlex.join(["python", "-m", "benchmarks.augmentation", *sys.argv[1:]])
    for part in chosen.parts:
        rows: list[dict[str, Any]] = []
        if part == "speed":
            rows = [speed(chosen.set)]
        for task in chosen.tasks if part != "speed" else []:
            rows += sources(task, chosen.shots, chosen.set) if part == "sources" else [names(task, chosen.set)]
            for row in rows[-6:]:
                print(*row.values(), flush=True)
        record(f"{chosen.name}_{part}", f"FEWSHOT_DATA=DIR {command}", rows, seed=0)


def sources(task_name: str, shots: Sequence[int], overrides: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each source at each number of shots."""
    how, task = recipe("augment=auto", *FEW, *overrides), load(task_name)
    assert isinstance(how.augmentation, SemanticAugmentation)
    encoded, rows = TaskEncoder(task, label_names=True), []
    for k_shot in shots:
        plan = replace(how, augmentation=None).plan(task, protocol(ways=5, shots=k_shot, queries=5))
        learner = meta_train(task, plan, encoded=encoded).model.learner
        assert isinstance(learner, Learner)
        rows += [
            {"task": task_name, "shots": k_shot, **row}
            for row in _gains(learner, task, encoded(how.encoder), plan, how.augmentation)
        ]
    return rows


def _gains(
    learner: Learner, task: Task, features: TaskFeatures, plan: Plan, augmentation: SemanticAugmentation
) -> list[dict[str, Any]]:
    test = episodes_of(task, plan.protocol, STORE.episodes)
    without = evaluate(learner, features, test)
    like, shots, encoder = valid_episodes(task, plan.protocol)[0], plan.max_shots, plan.encoder
    phase = AugmentationPhase(task, plan.protocol, encoder, features, shots)
    found = phase.decide(augmentation, learner, like).support
    every = dict(augmentation.sources or {})
    rows: list[dict[str, Any]] = []

    def row(label: str, how: SemanticAugmentation) -> dict[str, Any]:
        part = for_part(how, task, plan.protocol, "test")
        augmented, new_texts = phase.support(part, "test", test)
        gain = paired_difference(evaluate(learner, augmented, test).accuracies, without.accuracies)
        return {"source": label, "texts a class": f"{new_texts.texts_per_class or 0:.0f}", **_shown(without, gain)}

    assert augmentation.policy is not None
    for label, names in augmentation.policy.choices(list(every)).items():
        one = replace(augmentation, sources={name: every[name] for name in names}, policy=None)
        rows.append(row(label, one))
    if found is None:
        return [*rows, {"source": "auto: none", "texts a class": str(shots), **_shown(without, None)}]
    return [*rows, row(f"auto: {' + '.join(found.sources or ())}, weight {found.weight:g}", found)]


def _shown(without: Evaluation, gain: Estimate | None) -> dict[str, str]:
    shown = "0" if gain is None else f"{100 * gain.mean:+.2f} ± {100 * (gain.ci95 or 0.0):.2f}"
    return {"without": f"{100 * without.accuracy.mean:.2f}", "gain": shown}


def names(task_name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Macro-F1 of logistic regression with label names and augmentation against neither, mean of the splits."""
    found: dict[str, list[float]] = {"neither": [], "label names": [], "both": []}
    for split in splits_of(task_name):
        for system, value in _macro_f1(load(task_name, split), overrides).items():
            found[system].append(100 * value)
    mean = {system: sum(values) / len(values) for system, values in found.items()}
    relative = 100 * (mean["both"] / mean["neither"] - 1)
    shown = {system: f"{value:.2f}" for system, value in mean.items()}
    return {"task": task_name, "splits": len(found["both"]), **shown, "both against neither": f"{relative:+.1f} %"}


def _macro_f1(task: Task, overrides: Sequence[str]) -> dict[str, float]:
    how = recipe("augment=semantic", *FEW, *overrides)
    assert isinstance(how.augmentation, SemanticAugmentation)
    asked = protocol(ways="all", shots=1, queries=5, episodes=100)
    features, test = TaskEncoder(task, label_names=True)(how.encoder), episodes_of(task, asked, STORE.episodes)
    part = for_part(how.augmentation, task, asked, "test")
    systems = {
        "neither": features.without_label_names(),
        "label names": features,
        "both": AugmentationPhase(task, asked, how.encoder, features, 1).support(part, "test", test)[0],
    }
    learner = LEARNERS["logistic"](features.dim)
    return {
        system: float(macro_f1((scored := evaluate(learner, shown, test)).logits, scored.targets).mean())
        for system, shown in systems.items()
    }


def speed(overrides: Sequence[str]) -> dict[str, Any]:
    """Seconds for 200 texts of each class of banking77 from 5, nothing cached."""
    how, task = recipe("augment=semantic", "encoder.cache=null", *overrides), load("banking77")
    assert isinstance(how.augmentation, SemanticAugmentation)
    encoder, augmentation = how.encoder, how.augmentation
    by_class = [(task.labels == label).nonzero().flatten()[:5].tolist() for label in range(len(task.classes))]
    places = [place for five in by_class for place in five]
    encoder.encode(["warm"])
    started = time.perf_counter()
    table = augment_texts(
        [task.texts[place] for place in places],
        [task.classes[int(task.labels[place])] for place in places],
        encoder.encode,
        augmentation,
        class_names=task.label_names,
    )
    seconds = time.perf_counter() - started
    kept = Counter(row.label for row in table if row.kept)
    return {
        "classes": len(by_class),
        "texts given": len(places),
        "proposed": len(table),
        "kept": sum(kept.values()),
        "smallest class": min(kept.values()) + 5,
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    main()
