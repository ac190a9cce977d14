"""`fewshot predict`: classify a table of any length, block by block."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot.errors import ConfigError
from fewshot.export.description import is_exported
from fewshot.progress import track
from fewshot.tables import PredictionWriter, Table, guess_columns, open_table
from fewshot.tables.predictions import check_new
from fewshot.tables.rows import cell_text

if TYPE_CHECKING:
    from fewshot.export import ExportedClassifier
    from fewshot.text_classifier import TextClassifier

BLOCK = 4096  # texts that are classified and written at once
ADDED = ("label", "probability", "rejected", "runner_up", "runner_up_probability")


def predict_table(
    model: Path, path: Path, output: str, text: str | None, resume: bool, overwrite: bool = False
) -> None:
    """Write the rows of a table with the predictions of a classifier.

    Columns of the table come first. One of the same name as an added one stays, and the added one is called
    `predicted_...` (`predicted_predicted_...` if that is taken too).
    An output that holds something is refused unless it is resumed or overwritten.

    Raises:
        FewshotError: anything that the user can mend; what was written until then is whole rows.
    """
    if not (resume or overwrite):
        check_new(output, [path])
    elif resume and overwrite:
        raise ConfigError("Got both --resume and --overwrite, expected one of them. Leave one out.")
    table = open_table(path)
    columns = guess_columns(table, text, with_label=False)
    classifier = load_any(model)
    inputs = [] if str(path) == "-" else [path]
    with (
        PredictionWriter(output, written_columns(table.columns), resume, inputs, overwrite) as writer,
        _resumable(writer),
        track("Predicting", total=None, unit="texts") as advance,
    ):
        for n_rows in write_predictions(classifier, table, columns.text, writer):
            advance(n_rows)
    if table.n_left_out:
        print(
            f"{writer.name} has no rows for {table.n_left_out:,} empty ones between others in {table.name}.",
            file=sys.stderr,
        )


def load_any(model: Path) -> "TextClassifier | ExportedClassifier":
    """An exported classifier, without importing torch, or one as in `load_classifier`."""
    if is_exported(model):
        from fewshot.export import ExportedClassifier

        return ExportedClassifier.from_pretrained(model)
    return load_classifier(model)


def load_classifier(model: Path) -> "TextClassifier":
    """A classifier that keeps no cache of what it classifies; a ConfigError where the folder holds none."""
    check_is_classifier(model)
    from fewshot.text_classifier import TextClassifier

    return TextClassifier.from_pretrained(model).without_cache()


def check_is_classifier(model: Path) -> None:
    """Raise a ConfigError for a folder that holds no classifier, or an exported one."""
    if is_exported(model):
        raise ConfigError(
            f"{str(model)!r} holds an exported classifier, which predicts and does nothing else. Expected the folder "
            f"that `fewshot fit` wrote. Name that one."
        )
    if model.exists() and not (model / "classifier.json").is_file():
        raise ConfigError(
            f"{str(model)!r} holds no classifier (no classifier.json). Expected a folder that `fewshot fit` wrote."
        )


def written_columns(columns: Sequence[str]) -> list[str]:
    """The columns of a table and the added ones, renamed where a name is taken."""
    return [*columns, *(_free(name, columns) for name in ADDED)]


def _free(name: str, columns: Sequence[str]) -> str:
    while name in columns:
        name = f"predicted_{name}"
    return name


def write_predictions(
    classifier: "TextClassifier | ExportedClassifier", table: Table, text: str, writer: PredictionWriter
) -> Iterator[int]:
    """Write the rows of a table behind those that the writer has; gives the number of rows of each block.

    Args:
        classifier: gives the added columns.
        table: gives the first columns.
        text: the column of the texts.
        writer: of `written_columns`.
    """
    rows = islice(table, writer.rows_there, None)
    blocks = iter(lambda: list(islice(rows, BLOCK)), [])
    first = next(blocks, [])
    with classifier.cuts_reported(_texts(first, text)):
        for block in chain([first], blocks):
            predictions = classifier.predictions(_texts(block, text))
            writer.write(
                [*(record.get(column) for column in table.columns), *_cells(prediction)]
                for (_, record), prediction in zip(block, predictions, strict=True)
            )
            yield len(block)


@contextmanager
def _resumable(writer: PredictionWriter) -> Iterator[None]:
    """Print the number of written rows on Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        done = writer.rows_there + writer.rows_written
        print(f"\n{done:,} rows are in {writer.name}; --resume goes on behind them.", file=sys.stderr)
        raise


def _texts(block: Sequence[tuple[str, Mapping[str, Any]]], column: str) -> list[str]:
    return [cell_text(record, column, location, "--text") for location, record in block]


def _cells(prediction: Any) -> Iterator[Any]:
    label = "|".join(map(str, prediction.label)) if isinstance(prediction.label, tuple) else prediction.label
    yield None if prediction.rejected else label
    yield f"{prediction.probability:.4f}"
    yield "true" if prediction.rejected else "false"
    yield prediction.runner_up
    yield f"{prediction.runner_up_probability:.4f}"
