"""Tasks from the Hugging Face hub, through the `datasets` library."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from fewshot.errors import ConfigError, TaskError
from fewshot.resources import bundled_task
from fewshot.tables import Row
from fewshot.tables.rows import check_column
from fewshot.tasks.assemble import build_task, clean_rows
from fewshot.tasks.folder import data_folder, load_folder
from fewshot.tasks.readers import read_json
from fewshot.tasks.splits import MADE, choose_split
from fewshot.tasks.task import Task


def load_hub(
    dataset: str | None = None,
    config: str | None = None,
    name: str | None = None,
    path: str | Path | None = None,
    split: str | int = "01",
    text_column: str = "text",
    label_column: str = "label",
    revision: str | None = None,
    leave_out: tuple[str, ...] | list[str] = (),
    duplicates: Literal["error", "drop"] = "error",
    min_texts: int = 0,
    max_words: int = 1000,
    published: str | None = None,
) -> Task:
    """Read a labelled text data set from the hub; all its row splits together make the task.

    Nothing is downloaded if there is a task folder with the texts: `path`, else `$FEWSHOT_DATA/NAME`. Its columns are
    `text` and `label`, or guessed.

    Args:
        dataset: id on the hub, such as `PolyAI/banking77`, or a local folder that `datasets` can read.
        config: configuration of the data set, if it has several.
        name: name of the task, and of its folder; None: the last part of the id, and no folder is read.
        path: a task folder, or one file, to read instead of the hub.
        label_column: column of the label: strings, or class ids with names in the data set's features.
        revision: commit or tag.
        leave_out: labels that are no class (such as clinc150's `oos`).
        published: folder in `episodes/` with published class splits and label names for this data set.

    Other arguments: as for `load_folder`.

    Raises:
        ConfigError: no data set named.
        TaskError: `datasets` is not installed, the hub cannot be reached, or the content cannot be used.
    """
    folder = path or (data_folder(name) if name else None)
    if folder is not None:
        return load_folder(
            folder,
            name,
            split,
            duplicates=duplicates,
            min_texts=min_texts,
            max_words=max_words,
            published=published,
        )
    if not dataset:
        raise ConfigError("Got no task.dataset. Set task.dataset to an id on the hub, such as PolyAI/banking77.")
    tables = _download(dataset, config, revision)
    rows = (row for row in _rows(tables, dataset, text_column, label_column) if row.label not in set(leave_out))
    split_id = f"{split:02d}" if isinstance(split, int) else split
    bundled = bundled_task(published) if published else None
    splits_file = bundled / "class_splits.json" if bundled else None
    if splits_file is None and split_id != MADE:
        raise ConfigError(f"Got task.split={split_id}, but only the split {MADE} is made for {dataset!r}. Set it.")
    return build_task(
        name or dataset.rstrip("/").split("/")[-1],
        clean_rows(rows, duplicates, max_words, min_texts),
        split=choose_split(read_json(splits_file), split_id, str(splits_file)) if splits_file else None,
        split_id=split_id,
        label_names=read_json(bundled / "label_names.json") if bundled else None,
        source=str(splits_file or "the class split"),
        published=published is not None,
    )


def _download(dataset: str, config: str | None, revision: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise TaskError(
            f"Reading {dataset!r} from the hub needs the datasets library. Install it with: "
            f"pip install 'fewshot-text[hub]'"
        ) from error
    try:
        return datasets.load_dataset(dataset, config, revision=revision)
    except Exception as error:  # datasets raises many kinds, among them its own, httpx's and builtin ones
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise TaskError(
            f"Could not load the data set {dataset!r}: {reason}. Expected an id on the Hugging Face hub, or a folder "
            f"that the datasets library can read. Check the id and the network. To read local files, set task.path to "
            f"a file or a folder with texts.jsonl, or FEWSHOT_DATA to the folder above it."
        ) from error


def _rows(tables: Any, dataset: str, text_column: str, label_column: str) -> Iterator[Row]:
    for part, table in tables.items():
        columns = dict.fromkeys(table.column_names)
        check_column(columns, text_column, f"{dataset} ({part})", "Set task.text_column to one of them.")
        check_column(columns, label_column, f"{dataset} ({part})", "Set task.label_column to one of them.")
        names = getattr(table.features[label_column], "names", None)
        for number, (text, label) in enumerate(zip(table[text_column], table[label_column], strict=True)):
            place = f"{dataset} ({part}), row {number}"
            if not isinstance(text, str) or not text.strip():
                raise TaskError(f"{place}: the text is {text!r}, expected a text that is not empty. Mend it.")
            if label is None or (names and label == -1):
                continue  # unlabelled rows, as some test parts have them
            yield Row(text.strip(), names[label] if names else str(label), (), place)
