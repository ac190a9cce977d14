"""What `adapter="auto"` is worth to somebody with a few texts, on data sets that no adapter it may choose has seen.

    FEWSHOT_DATA=DIR python -m benchmarks.adapters [--data bank_bot ...] [--shots 1 2 5 10] [--draws 10] [--stage auto]
        [--seed 0]

Of each data set some texts of each class are drawn as a support, and at most 40 others of each class are classified:
all classes of bank_bot and failure_modes, the test classes of medical_terms. `FewShotClassifier` is fitted to the same
supports with `adapter="auto"` and with `adapter=None`. The difference is paired over supports; ± is 95 % over them.
"""

import argparse
import shlex
import sys
from collections import Counter
from typing import Any

import torch

from benchmarks.experiments import default_encoder, load
from benchmarks.record import record
from fewshot import FewShotClassifier
from fewshot.evaluation import Estimate
from fewshot.randomness import child_generator
from fewshot.tasks import Task

TASKS = ("bank_bot", "failure_modes", "medical_terms")
MOST = 40  # texts of a class that are classified


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--shots", nargs="+", type=int, default=[1, 2, 5, 10])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--stage", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="adapters", help="of the file in benchmarks/results")
    chosen = parser.parse_args()
    rows = [
        row(load(name), shots, chosen.draws, chosen.stage, chosen.seed)
        for name in chosen.data
        for shots in chosen.shots
    ]
    command = shlex.join(["python", "-m", "benchmarks.adapters", *sys.argv[1:]])
    record(chosen.name, command, rows, seed=chosen.seed)


def row(task: Task, shots: int, draws: int, stage: str, seed: int) -> dict[str, Any]:
    """Accuracy with and without the choice, over supports of so many texts a class."""
    accuracies: dict[str | None, list[float]] = {None: [], "auto": []}
    taken = Counter[str]()
    for number in range(draws):
        texts, labels, queries, targets = drawn(task, shots, child_generator(seed, f"adapters/{shots}/{number}"))
        for adapter, found in accuracies.items():
            classifier = FewShotClassifier(
                encoder=default_encoder(), adapter=adapter, label_names=names_of(task), stage=stage
            ).fit(texts, labels)
            found.append(classifier.score(queries, targets))
            if adapter == "auto":
                details = classifier.model_.details["adapter"]
                taken["none" if details["name"] is None else f"{details['name']} {details['strength']:g}"] += 1
    before, after = (torch.tensor(accuracies[adapter], dtype=torch.double) for adapter in (None, "auto"))
    return {
        "data": task.name,
        "texts a class": shots,
        "frozen": f"{100 * before.mean():.1f}",
        "auto": f"{100 * after.mean():.1f}",
        "difference": Estimate.of(after - before).percent(sign=True),
        "chosen": ", ".join(f"{name}: {count}" for name, count in taken.most_common()),
    }


def drawn(task: Task, shots: int, generator: torch.Generator) -> tuple[list[str], list[str], list[str], list[str]]:
    """Texts and labels of a support, and texts and labels to be classified."""
    parts: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
    for number in task.parts["test"] if task.name == "medical_terms" else range(len(task.classes)):
        members = (task.labels == number).nonzero().flatten()
        places = members[torch.randperm(len(members), generator=generator)].tolist()
        k_shot = min(shots, len(places) - 1)
        for own, into in ((places[:k_shot], 0), (places[k_shot : k_shot + MOST], 2)):
            parts[into].extend(task.texts[place] for place in own)
            parts[into + 1].extend([task.classes[number]] * len(own))
    return parts


def names_of(task: Task) -> dict[str, str]:
    """Label → readable name, of the classes that are classified."""
    numbers = task.parts["test"] if task.name == "medical_terms" else range(len(task.classes))
    names = task.label_texts()
    return {task.classes[number]: names[number] for number in numbers}


if __name__ == "__main__":
    main()
