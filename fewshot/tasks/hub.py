"""Tasks from the Hugging Face hub, through the `datasets` library."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from fewshot.errors import ConfigError, TaskError
from fewshot.resources import shipped
from fewshot.tasks.assemble import build_task, clean_rows
from fewshot.tasks.folder import data_folder, load_folder
from fewshot.tasks.readers import Row, check_column, read_json
from fewshot.tasks.splits import MADE, choose_split
from fewshot.tasks.task import Task


def load_hub(
    dataset: str | None = None,
    config: str | None = None,
    name: str | None = None,
    split: str | int = "01",
    text_column: str = "text",
    label_column: str = "label",
    revision: str | None = None,
    leave_out: tuple[str, ...] | list[str] = (),
    duplicates: Literal["error", "drop"] = "error",
    min_texts: int = 0,
    max_words: int = 1000,
    shipped_splits: str | None = None,
) -> Task:
    """Read a labelled text data set from the hub; all its row splits together make the task.

    Args:
        dataset: id on the hub, such as `PolyAI/banking77`, or a local folder that `datasets` can read.
        config: configuration of the data set, where it has several.
        name: name of the task; the last part of the id when absent.
        label_column: column of the label: strings, or class ids with names in the data set's features.
        revision: commit or tag.
        leave_out: labels that are no class (such as clinc150's `oos`).
        shipped_splits: folder in `episodes/` with published class splits and label names for this data set.

    Other arguments: as for `load_folder`.

    Raises:
        ConfigError: no data set named.
        TaskError: `datasets` is not installed, the hub cannot be reached, or the content cannot be used.
    """
    if not dataset:
        raise ConfigError("Got no task.dataset. Set task.dataset to an id on the hub, such as PolyAI/banking77.")
    tables = _download(dataset, config, revision)
    rows = (row for row in _rows(tables, dataset, text_column, label_column) if row.label not in set(leave_out))
    split_id = f"{split:02d}" if isinstance(split, int) else split
    published = shipped("episodes") / shipped_splits if shipped_splits else None
    splits_file = published / "class_splits.json" if published else None
    if splits_file is None and split_id != MADE:
        raise ConfigError(f"Got task.split={split_id}, but only the split {MADE} is made for {dataset!r}. Set it.")
    return build_task(
        name or dataset.rstrip("/").split("/")[-1],
        clean_rows(rows, duplicates, max_words, min_texts),
        split=choose_split(read_json(splits_file), split_id, str(splits_file)) if splits_file else None,
        split_id=split_id,
        label_names=read_json(published / "label_names.json") if published else None,
        source=str(splits_file or "the class split"),
    )


def load_folder_or_hub(
    name: str,
    path: str | Path | None = None,
    dataset: str | None = None,
    config: str | None = None,
    split: str | int = "01",
    text_column: str = "text",
    label_column: str = "label",
    revision: str | None = None,
    leave_out: tuple[str, ...] | list[str] = (),
    duplicates: Literal["error", "drop"] = "error",
    min_texts: int = 0,
    max_words: int = 1000,
    shipped_splits: str | None = None,
) -> Task:
    """Read the task folder `path`, else `$FEWSHOT_DATA/NAME`, else the data set from the hub.

    Args:
        name: name of the task, and of its folder.
        path: a task folder, whose columns are `text` and `label`.

    Other arguments: as for `load_hub`.

    Raises:
        TaskError: nothing local and the hub cannot be reached, or the content cannot be used.
    """
    limits: Any = {"split": split, "duplicates": duplicates, "min_texts": min_texts, "max_words": max_words}
    folder = path or data_folder(name)
    if folder is not None:
        return load_folder(folder, name, published=shipped_splits, **limits)
    of_hub: Any = {"text_column": text_column, "label_column": label_column, "leave_out": leave_out}
    of_hub |= {"revision": revision, "shipped_splits": shipped_splits}
    try:
        return load_hub(dataset, config=config, name=name, **of_hub, **limits)
    except TaskError as error:
        local = f"To read local files, set task.path to the folder of {name}, or FEWSHOT_DATA to the one above it."
        raise TaskError(f"{error} {local}") from error


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
            f"that the datasets library can read. Check the id and the network, or bring your own files with "
            f"+task=folder task.path=DIR."
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
