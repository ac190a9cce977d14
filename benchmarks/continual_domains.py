"""The part `domains` of `benchmarks.continual`: a second domain after a first, the encoder trained on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from benchmarks.experiments import load
from benchmarks.record import record
from fewshot import FewShotClassifier
from fewshot.continual import Consolidation, NewTexts, learn_on
from fewshot.continual.learn_on import consolidated
from fewshot.encoders import Encoder
from fewshot.evaluation import Estimate
from fewshot.randomness import child_generator
from fewshot.tasks import Task
from fewshot.text_classifier import TextClassifier

FIRST, SECOND = "medical_terms", "banking77"
SHOTS, TEST_TEXTS = 10, 20
COMMAND = "FEWSHOT_DATA=DIR python -m benchmarks.continual --parts domains"
SETTINGS = {
    "ewc": Consolidation(),
    "fine-tuning": Consolidation(strength=0.0, fisher_texts=1),
    "ewc, five times the rate": Consolidation(learning_rate=5e-4),
    "fine-tuning, five times the rate": Consolidation(strength=0.0, fisher_texts=1, learning_rate=5e-4),
    "ewc, ten times the rate": Consolidation(learning_rate=1e-3),
    "fine-tuning, ten times the rate": Consolidation(strength=0.0, fisher_texts=1, learning_rate=1e-3),
}
Part = tuple[list[str], list[str | int]]  # texts and their labels


def domains(encoder: Encoder, seeds: Sequence[int]) -> None:
    """Measure and record, seed by seed."""
    runs = list[dict[str, Any]]()
    for seed in seeds:
        runs += measured(encoder, load(FIRST), load(SECOND), seed)
        record("continual_domains", COMMAND, table(runs), runs=runs)


def table(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Means over seeds with their 95 % intervals."""
    rows = []
    for method in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == method]
        columns = [name for name in own[0] if name not in ("method", "seed")]
        values = {name: torch.tensor([run[name] for run in own], dtype=torch.double) / 100 for name in columns}
        rows.append({"method": method} | {name: Estimate.of(value).percent() for name, value in values.items()})
    return rows


def measured(
    encoder: Encoder,
    first: Task,
    second: Task,
    seed: int,
    settings: Mapping[str, Consolidation] | None = None,
) -> list[dict[str, Any]]:
    """Accuracy on both domains, in per cent, before and after learning the second one in each way."""
    settings = settings or SETTINGS
    (old, old_tests), (new, new_tests) = (drawn(task, seed) for task in (first, second))
    tasks = (first, second)
    names: list[dict[str | int, str]] = [dict(zip(own.classes, own.label_texts(), strict=True)) for own in tasks]
    fitted = FewShotClassifier(encoder=encoder, label_names=names[0], stage="head").fit(*old).model_
    more = NewTexts(*new, names[1])
    before = accuracy(fitted, old_tests, first.classes)
    classifiers = {method: consolidated(fitted, more, seed, own) for method, own in settings.items()}
    if settings is SETTINGS:
        classifiers |= {method: learn_on(fitted, more, method, seed) for method in ("prototypes", "freeze", "replay")}
    return [
        {
            "method": method,
            "seed": seed,
            "first, before": before,
            "first, its own labels": accuracy(classifier, old_tests, first.classes),
            "lost": before - accuracy(classifier, old_tests, first.classes),
            "first, all labels": accuracy(classifier, old_tests, classifier.labels),
            "second, its own labels": accuracy(classifier, new_tests, second.classes),
            "second, all labels": accuracy(classifier, new_tests, classifier.labels),
        }
        for method, classifier in classifiers.items()
    ]


def drawn(task: Task, seed: int) -> tuple[Part, Part]:
    """Texts to learn and to test on, of each class."""
    generator = child_generator(seed, "domains")
    support, tests = list[int](), list[int]()
    for number in range(len(task.classes)):
        members = (task.labels == number).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        n_tests = min(TEST_TEXTS, len(members) // 2)
        tests += members[:n_tests].tolist()
        support += members[n_tests : n_tests + SHOTS].tolist()
    return (of(task, support), of(task, tests))


def of(task: Task, places: Sequence[int]) -> Part:
    """Texts at some places, with their labels."""
    return [task.texts[place] for place in places], [task.classes[int(task.labels[place])] for place in places]


def accuracy(classifier: TextClassifier, tests: Part, among: Sequence[Any]) -> float:
    """Share of texts that are right, in per cent, where only some labels can be said."""
    allowed = torch.tensor([label in set(among) for label in classifier.labels])
    best = classifier.logits(tests[0]).masked_fill(~allowed, -torch.inf).argmax(1).tolist()
    return (
        100 * sum(classifier.labels[number] == label for number, label in zip(best, tests[1], strict=True)) / len(best)
    )
