"""The page of a run: of an `ExperimentResult` and the `results.json` that was made of it."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.nn.functional import normalize

from fewshot.evaluation import Evaluation
from fewshot.experiment.result import ExperimentResult
from fewshot.page.answers import MOST_WRONG, Answers
from fewshot.page.decided import by_closest
from fewshot.page.map import Map, map_of
from fewshot.page.page import Augmented, Curve, Page, Row, answered, settings
from fewshot.report.table import asked, covered, gain, interval, learner_name, percent
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
        task: that was scored.
        result: of the experiment.
        results: its `results.json`, see `fewshot.report.results`.
    """
    answers = Answers.of_evaluation(task, result.evaluation, result.episodes.classes)
    space, decided = None, [""] * len(answers.wrong()[:MOST_WRONG])
    if result.features is not None:
        known = result.episodes.classes.unique()
        places = torch.isin(task.labels, known).nonzero().flatten()
        classes = torch.searchsorted(known, task.labels[places])
        features = normalize(result.features.texts, dim=-1)
        rows, texts = features[places], [task.texts[place] for place in places.tolist()]
        decided = by_closest(answers, features, rows, classes, texts)
        space = _map(answers, places, rows, classes, texts)
    return Page(
        title=asked(results),
        summary=f"{(said := covered(results))[0].upper()}{said[1:]}.",
        rows=tuple(_rows(results)),
        advice=tuple(results["advice"]),
        **answered(answers, decided),
        ece=results["ece"],
        map=space,
        curves=tuple(_curves(result)),
        augmented=_augmented(task, result, results["augment"]),
        configuration=settings({name: results[name] for name in _CONFIGURATION if name in results}),
        command=results.get("command", ""),
    )


def _map(answers: Answers, places: Any, rows: Any, classes: Any, texts: list[str]) -> Map | None:
    wrong = {one.place for one in answers.wrong() if 2 * one.wrong >= one.asked}
    numbers = {number for number, place in enumerate(places.tolist()) if place in wrong}
    return map_of(rows, classes, answers.labels, texts, numbers)


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
        sizes = result.episodes.support_mask.sum(-1).double().mean()
        points = tuple(_point(size, one) for size, one in ((float(sizes) / 2, half), (float(sizes), full)))
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
    found = result.augmentation
    if found is None or made is None:
        return None
    decision = (made["decision"] or {}).get("sentence", "")
    decision = f"{decision}." if decision and not decision.endswith(".") else decision
    where = [name.replace("_", "-") for name in ("support", "meta_training") if made[name]]
    sentence = f"New texts are used in: {', '.join(where)}." if where else "No new texts are used."
    counts = [
        (part, source, numbers)
        for part, of_part in made["made"].items()
        for source, numbers in of_part["sources"].items()
    ]
    columns = tuple(dict.fromkeys(name for *_, numbers in counts for name in numbers))
    rows = tuple((part, source, *(_cell(numbers.get(name)) for name in columns)) for part, source, numbers in counts)
    examples = [
        (task.classes[int(task.labels[place])], text, one.text, f"{one.source} {one.how}".strip())
        for new in found.new_texts.values()
        for place, text, kept in zip(new.places, new.bank.texts, new.bank.kept(), strict=True)
        for one in kept[:1]
    ]
    step = max(1, len(examples) // _EXAMPLES)
    columns = ("part", "source", *(name.replace("_", " ") for name in columns))
    return Augmented(" ".join((decision, sentence)).strip(), columns, rows, tuple(examples[::step][:_EXAMPLES]))


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
