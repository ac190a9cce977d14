"""The page of a run, made of its `ExperimentResult` and its `results.json`."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.nn.functional import normalize

from fewshot.evaluation import Evaluation
from fewshot.experiment.result import ExperimentResult
from fewshot.page.answers import MOST_WRONG, Answers
from fewshot.page.map import map_of
from fewshot.page.page import Augmented, Curve, Page, Row, answered, settings
from fewshot.page.reasons import by_closest
from fewshot.report.table import coverage, gain, interval, learner_name, percent, protocol
from fewshot.tasks.task import Task
from fewshot.training import TrainingHistory

_CONFIGURATION = (
    *("task", "split", "learner", "ways", "shots", "queries", "seed", "label_names", "realistic", "support_noise"),
    *("episodes", "encoder", "encoder_training", "strategy", "temperature", "texts_encoded", "peak_memory_mb"),
    *("task_sha256", "episodes_sha256", "versions"),
)
_EXAMPLES = 12  # new texts


def page_of_run(task: Task, result: ExperimentResult, results: Mapping[str, Any]) -> Page:
    """The page of a run.

    Args:
        task: the task that is scored.
        result: of the experiment.
        results: its `results.json`, see `fewshot.report.results`.
    """
    summary = coverage(results)
    answers = Answers.of_evaluation(task, result.evaluation, result.episodes.classes)
    texts_map, reasons = None, [""] * len(answers.wrong()[:MOST_WRONG])
    if result.features is not None:
        known = result.episodes.classes.unique()
        indices = torch.isin(task.labels, known).nonzero().flatten()
        classes = torch.searchsorted(known, task.labels[indices])
        features = normalize(result.features.texts, dim=-1)
        rows, texts = features[indices], [task.texts[i] for i in indices.tolist()]
        reasons = by_closest(answers, features, rows, classes, texts)
        wrong = {text.index for text in answers.wrong() if 2 * text.n_wrong >= text.n_tested}
        wrong_rows = {row for row, i in enumerate(indices.tolist()) if i in wrong}
        texts_map = map_of(rows, classes, answers.labels, texts, wrong_rows)
    return Page(
        title=protocol(results),
        summary=f"{summary[0].upper()}{summary[1:]}.",
        rows=tuple(_rows(results)),
        advice=tuple(results["advice"]),
        **answered(answers, reasons),
        ece=results["ece"],
        map=texts_map,
        curves=tuple(_curves(result)),
        augmented=_augmented(task, result, results["augment"]),
        configuration=settings({name: results[name] for name in _CONFIGURATION if name in results}),
        command=results.get("command", ""),
    )


def _rows(results: Mapping[str, Any]) -> Iterator[Row]:
    for name, scores in [(learner_name(results), results), *results["baselines"].items()]:
        low, high = scores["accuracy"]["interval"] or (None, None)
        yield Row(
            name=name,
            accuracy=percent(scores["accuracy"]),
            interval=interval(scores["accuracy"]),
            difference=gain(scores.get("difference")),
            macro_f1=f"{100 * scores['macro_f1']['mean']:.1f}",
            ece=f"{scores['ece']:.3f}",
            share=scores["accuracy"]["mean"],
            low=low,
            high=high,
        )


def _curves(result: ExperimentResult) -> Iterator[Curve]:
    if result.with_half is not None:
        full, half = result.with_half
        size = float(result.episodes.support_mask.sum(-1).double().mean())
        points = tuple(_point(x, scored) for x, scored in ((size / 2, half), (size, full)))
        yield Curve("With half of the texts, and with all", "support texts of a label", "accuracy", {"learner": points})
    trained = {"learner": result.trained.history}
    if result.trained.encoder_training is not None:
        trained["encoder"] = result.trained.encoder_training.history
    lines = {name: _line(history) for name, history in trained.items() if len(history.valid_accuracies) > 1}
    if lines:
        yield Curve("Meta-training", "step", "accuracy on classes held out (valid)", lines)


def _point(x: float, evaluation: Evaluation) -> tuple[float, float, float | None, float | None]:
    accuracy = evaluation.accuracy
    return (x, accuracy.mean, *(accuracy.interval or (None, None)))


def _line(history: TrainingHistory) -> tuple[tuple[float, float, None, None], ...]:
    return tuple((float(step), accuracy, None, None) for step, accuracy in sorted(history.valid_accuracies.items()))


def _augmented(task: Task, result: ExperimentResult, made: Mapping[str, Any] | None) -> Augmented | None:
    augmentation = result.augmentation
    if augmentation is None or made is None:
        return None
    decision = (made["decision"] or {}).get("sentence", "")
    decision = f"{decision}." if decision and not decision.endswith(".") else decision
    parts = [name.replace("_", "-") for name in ("support", "meta_training") if made[name]]
    sentence = f"New texts are used in: {', '.join(parts)}." if parts else "No new texts are used."
    counts = [
        (part, source, numbers)
        for part, of_part in made["made"].items()
        for source, numbers in of_part["sources"].items()
    ]
    columns = tuple(dict.fromkeys(name for *_, numbers in counts for name in numbers))
    rows = tuple((part, source, *(_cell(numbers.get(name)) for name in columns)) for part, source, numbers in counts)
    examples = [
        (task.classes[int(task.labels[i])], text, first.text, f"{first.source} {first.how}".strip())
        for new in augmentation.new_texts.values()
        for i, text, kept in zip(new.places, new.bank.texts, new.bank.kept(), strict=True)
        for first in kept[:1]
    ]
    step = max(1, len(examples) // _EXAMPLES)
    columns = ("part", "source", *(name.replace("_", " ") for name in columns))
    return Augmented(" ".join((decision, sentence)).strip(), columns, rows, tuple(examples[::step][:_EXAMPLES]))


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
