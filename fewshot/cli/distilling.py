"""`fewshot distill`: a small and fast classifier from a fitted one and texts without labels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fewshot.errors import ConfigError, TaskError
from fewshot.tables import guess_columns, open_table
from fewshot.tables.rows import cell_text

if TYPE_CHECKING:
    from fewshot.text_classifier import TextClassifier

CHECKPOINTS = Path("outputs", "checkpoints")


@dataclass(frozen=True)
class DistillSettings:
    """The options of `fewshot distill`."""

    texts: Path | None = None
    student: str = "static"
    labelled: Path | None = None
    text: str | None = None
    label: str | None = None
    seed: int = 0


def distill_folder(model: Path, output: Path, settings: DistillSettings, command: str) -> Iterator[str]:
    """Distil a saved classifier into a small one and save it; yields the lines to print.

    Raises:
        FewshotError: anything that the user can mend.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"{str(output)!r} is there already. Expected a new folder for the student. Choose another.")
    texts = None if settings.texts is None else read_texts(settings.texts, settings.text)
    from fewshot.cli.fitting import read_labelled
    from fewshot.cli.predicting import check_is_classifier
    from fewshot.text_classifier import TextClassifier

    check_is_classifier(model)
    teacher = TextClassifier.from_pretrained(model)
    test: tuple[list[str], list[str]] | None = None
    if settings.labelled is not None:
        test_texts, labels, notes = read_labelled(settings.labelled, settings.text, settings.label)
        yield from notes
        _check_known(labels, {*map(str, teacher.labels)}, settings.labelled)
        test = test_texts, labels
        if texts is not None:
            texts, n_near = without_near(texts, test_texts)
            if n_near:
                yield f"{n_near} texts that equal or nearly equal one of {settings.labelled} are left out of training."
    from fewshot.distill import Accuracies, Cost, distill
    from fewshot.training import Store

    store = Store(checkpoints=CHECKPOINTS, resume=True)
    student = distill(teacher, texts, settings.student, seed=settings.seed, store=store)
    record = student.details["distilled"]
    if "agreement" in record:
        yield (
            f"Learnt from {record['n_texts']:,} texts. Of {record['n_held']:,} held out "
            f"{100 * record['agreement']:.1f} % get the label that the teacher gives."
        )
    details = {**student.details, "command": command}
    if test is None:
        yield "How often it is right is not known: that takes texts with labels that nobody has seen, --labelled FILE."
        sample = texts or (list(student.evidence.support.texts) if student.evidence is not None else ["a text"])
    else:
        accuracies = Accuracies.of(*(_right(classifier, *test) for classifier in (teacher, student)))
        details["accuracy"] = f"{accuracies}."
        yield f"Accuracy: {accuracies}."
        sample = test[0]
    yield f"Teacher: {Cost.of(teacher, sample)}"
    yield f"Student: {Cost.of(student, sample)}"
    replace(student, details=details).save_pretrained(output)
    yield f"Saved in {output}. Next: fewshot predict {output} new.csv -o out.csv"


def read_texts(path: Path, column: str | None) -> list[str]:
    """The texts of a table, or the lines of a text file."""
    table = open_table(path)
    text = guess_columns(table, column, with_label=False).text
    cells = (cell_text(record, text, location, "--text") for location, record in table)
    return [cell for cell in cells if cell]


def without_near(texts: list[str], others: list[str]) -> tuple[list[str], int]:
    """The texts without those that equal or nearly equal one of the others, and the number of these."""
    from fewshot.housekeeping.duplicates import near_duplicates

    pairs = near_duplicates([*others, *texts])
    near = {b - len(others) for a, b in pairs if a < len(others) <= b}
    return [text for index, text in enumerate(texts) if index not in near], len(near)


def _check_known(labels: list[str], known: set[str], path: Path) -> None:
    unknown = [label for label in labels if not known.issuperset([label]) and not known.issuperset(label.split("|"))]
    if unknown:
        raise TaskError(
            f"The labelled texts of {path} have the label {unknown[0]!r}, which the classifier does not know. Expected "
            f"{', '.join(sorted(known)[:20])}. Correct it."
        )


def _right(classifier: "TextClassifier", texts: list[str], labels: list[str]) -> list[bool]:
    pairs = zip(classifier.predict(texts), labels, strict=True)
    if classifier.thresholds is None:
        return [str(predicted) == label for predicted, label in pairs]
    return [{*map(str, predicted)} == {*label.split("|")} for predicted, label in pairs]
