"""`fewshot fit` and `fewshot evaluate`: from a table to a classifier, or to its accuracy."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewshot.cli.gaps import gaps_of_answers, gaps_of_result, groups_of, show_gaps
from fewshot.cli.predicting import check_is_classifier
from fewshot.errors import ConfigError, TaskError
from fewshot.housekeeping.personal import check_presidio
from fewshot.storage import file_name
from fewshot.tables import LabelledRows, guess_columns, open_table

PAGE = "report.html"


@dataclass(frozen=True)
class PageRequest:
    """The path of the page of an evaluation, and the command that it shows."""

    path: Path
    command: str

    @classmethod
    def of(cls, table: Path, output: Path | None, command: str) -> "PageRequest":
        """The page at `output`; None: `outputs/evaluate/TABLE/report.html`.

        Raises:
            StorageError: there is a file already that is no page of this package.
        """
        from fewshot.page.replaceable import check_replaceable

        name = "standard_input" if str(table) == "-" else file_name(table.stem)
        path = Path("outputs", "evaluate", name, PAGE) if output is None else output
        check_replaceable(path)
        return cls(path, command)


@dataclass(frozen=True)
class FitSettings:
    """The options of `fewshot fit`."""

    text: str | None = None
    label: str | None = None
    label_names: Path | None = None
    encoder: str | None = None
    adapter: str = "auto"
    meta_model: Path | None = None
    stage: str = "auto"
    reject: float | None = None
    seed: int = 0
    mask_personal_data: bool = False
    long_texts: str | None = None


def fit_table(path: Path, output: Path, settings: FitSettings, command: str) -> Iterator[str]:
    """Fit a classifier to a table and save it; yields the lines to print.

    Raises:
        FewshotError: anything that the user can mend.
    """
    texts, labels, notes = read_labelled(path, settings.text, settings.label)
    yield from notes
    from fewshot.page.replaceable import check_replaceable

    check_replaceable(output / PAGE)
    names = _label_names(settings.label_names)
    if settings.mask_personal_data:
        check_presidio()
    from fewshot.classifier import FewShotClassifier  # imports torch, so it comes after the other checks
    from fewshot.fitted.saved import check_output

    check_output(output)

    classifier = FewShotClassifier(
        settings.meta_model,
        encoder=settings.encoder,
        adapter=None if settings.adapter == "none" else settings.adapter,
        label_names=names or "auto",
        stage=settings.stage,
        reject=settings.reject,
        random_state=settings.seed,
        mask_personal_data=settings.mask_personal_data,
        long_texts=settings.long_texts,
    ).fit(texts, labels)
    details = {**classifier.model_.details, "n_texts": len(texts), "command": command}
    scores = details.get("out_of_fold") or {}
    if "accuracy" in scores:
        n_right = round(scores["accuracy"] * scores["n_texts"])
        details["accuracy"] = _share(n_right, scores["n_texts"], " held out in turn")
    classifier.model_ = replace(classifier.model_, details=details)
    classifier.save_pretrained(output)
    sizes = Counter(
        name for label in labels for name in (label.split("|") if classifier.multi_label_ else [label]) if name.strip()
    )
    low, high = min(sizes.values()), max(sizes.values())
    yield (
        f"Fitted on {len(texts)} texts of {len(sizes)} labels ({low if low == high else f'{low} to {high}'} of each), "
        f"stage {details['stage']}."
    )
    if "accuracy" in scores:
        yield f"Accuracy: {details['accuracy']}"
    elif "micro_f1" in scores:
        yield f"Micro-F1 {100 * scores['micro_f1']:.1f} %, macro-F1 {100 * scores['macro_f1']:.1f} %, held out in turn."
    from fewshot.housekeeping import check_texts
    from fewshot.page.of_classifier import page_of_fit
    from fewshot.page.render import write_page

    page = page_of_fit(classifier.model_, classifier.held_out_, path.name, command)
    findings = check_texts(texts, None if classifier.multi_label_ else labels)
    write_page(output / PAGE, replace(page, findings=findings))
    yield f"Saved in {output}, with {PAGE} to look at. Next: fewshot predict {output} new.csv -o out.csv"


def cross_validate_table(
    path: Path,
    text: str | None,
    label: str | None,
    encoder: str | None,
    adapter: str,
    seed: int,
    page: PageRequest,
    group: str | None = None,
    robust: bool = False,
) -> Iterator[str]:
    """Cross-validate the classifier of `fit_table` on a table; prints tables, and yields further lines."""
    open_table(path)  # to report its mistakes before torch is loaded
    grouped = groups_of(path, text, label, group)
    from fewshot.encoders import SentenceTransformerEncoder
    from fewshot.episodes.multi_labelled import label_sets
    from fewshot.experiment.experiment import run_experiment
    from fewshot.experiment.protocol import Protocol
    from fewshot.learners import Centroid
    from fewshot.recipe import Recipe
    from fewshot.report.results import build_results
    from fewshot.report.table import comparison_table, show
    from fewshot.tasks import load_folder

    task = load_folder(path, text_column=text or "text", label_column=label or "label")
    if label_sets(list(task.classes), "auto") is not None:
        raise TaskError(
            f"{path} has texts with several labels, such as {next(name for name in task.classes if '|' in name)!r}, "
            f"which are not cross-validated. Expected one label for each text. `fewshot fit` says how good a "
            f"classifier of them is, and evaluate --model scores it on other texts."
        )
    yield from task.notes
    text_encoder = SentenceTransformerEncoder() if encoder is None else SentenceTransformerEncoder(encoder)
    recipe = Recipe(text_encoder, Centroid, None if adapter == "none" else adapter, trainable="none", augmentation=None)
    names = not task.nameless_classes()
    protocol = Protocol(seed=seed, ways=None, baselines=("centroid", "logistic"), label_names=names)
    result = run_experiment(recipe, task, protocol)
    results = build_results(task, "classifier", result)
    show(comparison_table(results))
    yield from results["advice"]
    gaps = gaps_of_result(result, task, grouped, robust)
    yield from show_gaps(gaps)
    if robust:
        yield "Changed texts are scored in one of the five repeats, so that 'before' may differ from the first table."
    from fewshot.housekeeping import check_texts
    from fewshot.page.of_run import page_of_run
    from fewshot.page.render import write_page
    from fewshot.resources import versions

    run_page = page_of_run(task, result, results | {"versions": versions(), "command": page.command})
    findings = check_texts(task.texts, [task.classes[number] for number in task.labels.tolist()])
    write_page(page.path, replace(run_page, gaps=gaps, findings=findings))
    yield f"Page: {page.path}"


def score_table(
    model: Path,
    path: Path,
    text: str | None,
    label: str | None,
    page: PageRequest,
    group: str | None = None,
    robust: bool = False,
) -> Iterator[str]:
    """Score a saved classifier on a labelled table; prints tables, and yields further lines."""
    grouped = groups_of(path, text, label, group)
    texts, labels, notes = read_labelled(path, text, label)
    yield from notes
    check_is_classifier(model)
    from fewshot.text_classifier import TextClassifier

    classifier = TextClassifier.from_pretrained(model)
    texts = classifier.masked(texts)
    known = {str(name): name for name in classifier.labels}
    several = classifier.thresholds is not None
    parts = [label.split("|") if several else [label] for label in labels]
    unknown = [name for of_text in parts for name in of_text if name not in known]
    if unknown:
        raise TaskError(
            f"{path} has the label {unknown[0]!r}, which the classifier in {str(model)!r} does not know. Expected "
            f"{', '.join(known)}. Correct it, or fit a classifier with it."
        )

    def answers(texts: list[str]) -> list[str]:
        return ["|".join(map(str, label)) if several else str(label) for label in classifier.predict(texts)]

    predicted = answers(texts)
    labels = ["|".join(sorted(of_text)) for of_text in parts]
    right = [label == answer for label, answer in zip(labels, predicted, strict=True)]
    yield f"Accuracy: {_share(sum(right), len(right))}"
    for name, size in Counter(labels).items():
        yield f"  {name}: {_share(sum(ok for ok, label in zip(right, labels, strict=True) if label == name), size)}"
    if classifier.evidence is not None:
        n_seen = len(set(classifier.evidence.support.texts) & set(texts))
        if n_seen:
            yield f"{n_seen} of these texts are among those that it was fitted on, which flatters it."
    mistakes = Counter(pair for pair in zip(labels, predicted, strict=True) if pair[0] != pair[1])
    for (target, answer), count in mistakes.most_common(3):
        yield f"{count} of {target!r} {'was' if count == 1 else 'were'} taken for {answer!r}."
    gaps = gaps_of_answers(answers, texts, labels, right, grouped, robust)
    yield from show_gaps(gaps)
    from fewshot.page.of_classifier import page_of_table
    from fewshot.page.render import write_page

    named = [[known[name] for name in of_text] for of_text in parts]
    write_page(page.path, replace(page_of_table(classifier, texts, named, path.name, page.command), gaps=gaps))
    yield f"Page: {page.path}"


def read_labelled(path: Path, text: str | None, label: str | None) -> tuple[list[str], list[str], Sequence[str]]:
    """Texts, labels and notes of a table."""
    table = open_table(path)
    texts, labels = LabelledRows(table, guess_columns(table, text, label)).lists()
    if len(set(labels)) < 2:
        raise TaskError(
            f"{path} has the label {labels[0]!r} alone, expected two or more. Add texts of another label, or name "
            f"another column with --label."
        )
    return texts, labels, table.notes


def _label_names(path: Path | None) -> dict[str, str] | None:
    if path is None:
        return None
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as JSON ({error}). Expected label → name. Mend it.") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content.values()):
        raise ConfigError(f'{path} was expected to map labels to names, like {{"card": "lost card"}}. Mend it.')
    return content


def _share(right: int, n_texts: int, which: str = "") -> str:
    from scipy.stats import binomtest

    interval = binomtest(right, n_texts).proportion_ci(method="exact" if n_texts < 30 else "wilson")
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * right / n_texts:.1f} % of {n_texts} texts{which} (95 % interval {low:.0f} to {high:.0f})."
