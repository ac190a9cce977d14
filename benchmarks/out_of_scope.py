"""Rejection of out-of-scope texts: scores beside each other on near and far texts, and the protocol of clinc150.

    FEWSHOT_DATA=DIR [FEWSHOT_SOURCES=DIR] python -m benchmarks.out_of_scope [--draws 5] [--parts scores clinc150]

The bundled encoder and the tuned head, label names given.

`scores`: of the classes of a task a third is left out, and its texts are *near* out-of-scope texts; *far* ones are
texts of the other tasks.  5 and 10 texts a class, three draws of classes and texts.  AUROC is the probability that an
in-scope text scores higher than an out-of-scope text; FPR the share of in-scope texts that is rejected where 95 % of
the out-of-scope texts are.  The score of `fewshot.adaptation.rejection` was chosen on these tasks, with those in
FEWSHOT_SOURCES (the task folders `sgd_intents` and `snips`), and on the validation part of clinc150.

`clinc150`: all 150 classes, 10 texts of each from the part `train`; out of scope are the texts of Larson et al. 2019.
A threshold is chosen on the part `val` (3,000 texts in scope, 100 out of scope) by the mean of in-scope accuracy and
out-of-scope recall, and scored on the part `test` (4,500 and 1,000), where a rejected in-scope text counts as wrong.
Rows *against 100* use the 100 texts of `val` as what a user hands over to tune on: as texts to be far from, and to put
the threshold; *support alone* puts it between them and the support, with no other in-scope text, as
`Rejection.tuned_on` does.  *Against 200* has the 100 of `train` beside them, which the protocol does not use.  *5 %
asked for* knows no out-of-scope text at all.  Mean and standard deviation over draws.  Nothing was chosen on `test`;
*best mean* is that of the best of all thresholds there, so what no choice of a threshold can exceed.
"""

import argparse
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.experiments import default_encoder
from benchmarks.record import record
from benchmarks.scope_scores import SCORES, Fitted, Score, auroc, fpr_at_recall
from fewshot.adaptation.refit import out_of_fold
from fewshot.encoders import Encoder
from fewshot.episodes import LabelledTexts
from fewshot.evaluation.thresholds import best_threshold
from fewshot.fitted.rejection import Rejection
from fewshot.randomness import child_generator
from fewshot.tasks import Task, load_bundled, load_folder

TASKS, SOURCES = ("banking77", "bank_bot", "failure_modes"), ("sgd_intents", "snips")
ALIKE = {"banking77", "bank_bot"}  # not far from each other
SHOTS, MOST_QUERIES, MOST_FAR = (5, 10), 20, 500
RATE = 0.05
Part = tuple[list[str], list[str], list[str]]  # texts in scope, their labels, texts out of scope


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5, help="of the support in clinc150's protocol")
    parser.add_argument("--parts", nargs="+", default=["scores", "clinc150"], choices=["scores", "clinc150"])
    parser.add_argument("--name", default="out_of_scope", help="name of the files in benchmarks/results")
    chosen = parser.parse_args()
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    encoder = default_encoder()
    settings = {"encoder": encoder.fingerprint, "shots": list(SHOTS)}
    command = "FEWSHOT_DATA=DIR FEWSHOT_SOURCES=DIR python -m benchmarks.out_of_scope"
    if "scores" in chosen.parts:
        record(f"{chosen.name}_scores", command, beside_each_other(encoder), **settings, tasks=list(loaded()))
    if "clinc150" in chosen.parts:
        draws = [row for seed in range(chosen.draws) for row in clinc150(encoder, seed)]
        record(chosen.name, command, over_draws(draws), draws=draws, **settings)


def loaded() -> dict[str, Task]:
    """The tasks with classes to leave out."""
    folders = [Path(os.environ["FEWSHOT_DATA"]) / name for name in TASKS]
    if "FEWSHOT_SOURCES" in os.environ:
        folders += [Path(os.environ["FEWSHOT_SOURCES"]) / name for name in SOURCES]
    return {folder.name: load_folder(folder, duplicates="drop") for folder in folders}


def beside_each_other(encoder: Encoder) -> list[dict[str, Any]]:
    """AUROC and FPR of each score on near and far texts; means over tasks, shots and draws."""
    tasks = loaded()
    figures: dict[str, list[list[float]]] = {name: [] for name in SCORES}
    for name, task in tasks.items():
        far = far_texts(name, tasks)
        for seed in range(3):
            for shots in SHOTS:
                support, queries, near = with_classes_left_out(task, shots, seed)
                fitted = Fitted.of(encoder, support, seed)
                inside, *outside = (fitted.texts(texts) for texts in (queries, near, far))
                for score, of in SCORES.items():
                    values = of(fitted, inside)
                    figures[score].append(
                        [100 * f(values, of(fitted, texts)) for texts in outside for f in (auroc, fpr_at_recall)]
                    )
    columns = ("near AUROC", "near FPR", "far AUROC", "far FPR")
    return [
        {"score": name, **dict(zip(columns, torch.tensor(rows).mean(0).tolist(), strict=True))}
        for name, rows in figures.items()
    ]


def far_texts(name: str, tasks: dict[str, Task]) -> list[str]:
    """Texts of other tasks."""
    others = {
        **{other: task.texts for other, task in tasks.items()},
        "medical_terms": load_bundled("medical_terms").texts,
    }
    texts = []
    for other, its in others.items():
        if other != name and not {other, name} <= ALIKE:
            order = torch.randperm(len(its), generator=child_generator(0, f"far/{other}"))
            texts += [its[place] for place in order[:MOST_FAR].tolist()]
    return texts


def with_classes_left_out(task: Task, shots: int, seed: int) -> tuple[LabelledTexts, list[str], list[str]]:
    """A support of two thirds of the classes, further texts of them, and texts of the classes left out."""
    generator = child_generator(seed, "classes")
    order = torch.randperm(len(task.classes), generator=generator).tolist()
    n_out = max(2, len(order) // 3)
    support, queries, near = [], [], []
    for number in order:
        members = (task.labels == number).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)].tolist()
        if number in order[:n_out]:
            near += members[:MOST_QUERIES]
            continue
        kept = min(shots, len(members) // 2)
        support += members[:kept]
        queries += members[kept : kept + MOST_QUERIES]
    names = {task.classes[number]: task.label_texts()[number] for number in order[n_out:]}
    labels = [task.classes[number] for number in task.labels[support].tolist()]
    shown, asked, others = ([task.texts[place] for place in places] for places in (support, queries, near))
    return LabelledTexts.of(shown, labels, names), asked, others


def clinc150(encoder: Encoder, seed: int) -> list[dict[str, Any]]:
    """The rows of one draw."""
    support, parts, names = drawn(seed)
    started = time.perf_counter()
    fitted = Fitted.of(encoder, support, seed)
    seconds = {"head_seconds": time.perf_counter() - started}
    inside = {part: fitted.texts(parts[part][0]) for part in ("val", "test")}
    outside = {part: fitted.texts(texts) for part, (_, _, texts) in parts.items()}
    numbers = {label: number for number, label in enumerate(names)}
    right = {
        part: texts.logits.argmax(1) == torch.tensor([numbers[label] for label in parts[part][1]])
        for part, texts in inside.items()
    }
    rows = []

    def add(system: str, of: Score, threshold: float | None = None) -> None:
        """A row; without a threshold it is chosen on `val`."""
        if threshold is None:
            threshold = best_threshold(of(fitted, inside["val"]), right["val"], of(fitted, outside["val"]))
        figures = scored(of(fitted, inside["test"]), right["test"], of(fitted, outside["test"]), threshold)
        rows.append({"seed": seed, "system": system, **figures})

    for name in ("largest probability", "largest logit", "energy", "Rejection"):
        add(name, SCORES[name])
    given = {"100": outside["val"].embedded, "200": torch.cat([outside[part].embedded for part in ("val", "train")])}
    for number, texts in given.items():
        against = Rejection.without_threshold(fitted.evidence, texts)
        of_val, of_given = against.scores(inside["val"].embedded), against.scores_of_out_of_scope()
        add(f"Rejection against {number}", by(against), best_threshold(of_val, right["val"], of_given))
    started = time.perf_counter()
    right_alone = out_of_fold(fitted.classifier, seed).right_among(len(fitted.support.texts))
    tuned = Rejection.tuned_on(fitted.evidence, given["100"], right_alone)
    seconds["rejection_seconds"] = time.perf_counter() - started
    add("Rejection against 100, support alone", by(tuned), tuned.threshold)
    at_rate = Rejection.at_rate(fitted.evidence, RATE)
    add("Rejection, 5 % asked for", by(at_rate), at_rate.threshold)
    return [row | seconds for row in rows]


def by(rejection: Rejection) -> Score:
    """The scores of a rejection."""
    return lambda _, texts: rejection.scores(texts.embedded)


def drawn(
    seed: int, shots: int = 10
) -> tuple[LabelledTexts, dict[str, tuple[list[str], list[str], list[str]]], list[str]]:
    """A support, the parts, and the labels in the order of the classes."""
    folder = Path(os.environ["FEWSHOT_DATA"])
    inside, outside = (
        [json.loads(line) for line in (folder / "clinc150_oos" / f"{name}.jsonl").read_text("utf-8").splitlines()]
        for name in ("in_scope", "out_of_scope")
    )
    names = json.loads((folder / "clinc150" / "label_names.json").read_text("utf-8"))
    generator = child_generator(seed, "support")
    texts, labels = [], []
    for label in sorted(names):
        own = [row["text"] for row in inside if row["label"] == label and row["part"] == "train"]
        texts += [own[place] for place in torch.randperm(len(own), generator=generator)[:shots].tolist()]
        labels += [label] * shots
    parts = {
        part: (
            [row["text"] for row in inside if row["part"] == part],
            [row["label"] for row in inside if row["part"] == part],
            [row["text"] for row in outside if row["part"] == part],
        )
        for part in ("train", "val", "test")
    }
    return LabelledTexts.of(texts, labels, names), parts, sorted(names)


def scored(in_scope: Tensor, right: Tensor, out_of_scope: Tensor, threshold: float) -> dict[str, float]:
    """The figures of one threshold and those without one, in per cent."""

    def mean_at(other: float) -> float:
        right_and_kept, found = right & (in_scope >= other), out_of_scope < other
        return float(right_and_kept.double().mean() + found.double().mean()) / 2

    kept, caught = in_scope >= threshold, out_of_scope < threshold
    accuracy, recall = (float(hits.double().mean()) for hits in (right & kept, caught))
    precision = int(caught.sum()) / max(1, int(caught.sum()) + int((~kept).sum()))
    figures = {
        "in-scope accuracy": accuracy,
        "recall": recall,
        "mean": mean_at(threshold),
        "precision": precision,
        "F1": 2 * precision * recall / max(1e-9, precision + recall),
        "AUROC": auroc(in_scope, out_of_scope),
        "FPR": fpr_at_recall(in_scope, out_of_scope),
        "falsely rejected": float((~kept).double().mean()),
        "best mean": mean_at(best_threshold(in_scope, right, out_of_scope)),
    }
    return {name: 100 * value for name, value in figures.items()}


def over_draws(draws: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation of each system."""
    rows = []
    for system in dict.fromkeys(row["system"] for row in draws):
        own = [row for row in draws if row["system"] == system]
        figures = [name for name in own[0] if name not in ("seed", "system", "head_seconds", "rejection_seconds")]
        values = {name: torch.tensor([row[name] for row in own], dtype=torch.double) for name in figures}
        rows.append({"system": system} | {k: f"{v.mean():.1f} ± {v.std():.1f}" for k, v in values.items()})
    return rows


if __name__ == "__main__":
    main()
