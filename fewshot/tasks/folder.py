"""Read a task from one file, or a folder of `texts.*` and optionally `label_names.json` and `class_splits.json`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from fewshot.errors import ConfigError, TaskError
from fewshot.resources import bundled_task
from fewshot.tasks.assemble import build_task, clean_rows
from fewshot.tasks.readers import find_texts, labelled_rows, read_json, task_path
from fewshot.tasks.splits import MADE, choose_split
from fewshot.tasks.task import Task


def load_folder(
    path: str | Path | None = None,
    name: str | None = None,
    split: str | int = "01",
    text_column: str = "text",
    label_column: str = "label",
    duplicates: Literal["error", "drop"] = "error",
    min_texts: int = 0,
    max_words: int = 1000,
    published: str | None = None,
) -> Task:
    """Read a task folder, or one file of labelled texts; nothing is written beside them.

    Without `class_splits.json`, all classes are scored, by cross-validation. On request (`classes=test`) they are split
    60/20/20 by the hash of their labels.

    Args:
        path: the folder, or a csv, tsv, xlsx, jsonl or parquet file.
        name: name of the task; the folder's name when absent, the file's without its suffix.
        split: id of the class split.
        text_column: column (or key) of the text; guessed if there is no `text`.
        label_column: column (or key) of the label; guessed if there is no `label`.
        duplicates: for a text under two classes: `error`, or `drop` all its rows.
        min_texts: leave out classes with fewer texts.
        max_words: maximum of words of a text.
        published: folder in `episodes/` whose class splits and label names replace absent files.

    Returns:
        The checked task; `task.notes` names the texts and classes that were left out.

    Raises:
        ConfigError: no path, or a setting out of range.
        TaskError: the files cannot be used as they are.
    """
    given = task_path(path)
    texts = find_texts(given)
    rows = labelled_rows(texts, text_column, label_column)
    cleaned = clean_rows(rows, duplicates, max_words, min_texts)
    folder = None if texts == given else given
    splits_file = _file_or_published(folder, "class_splits.json", published)
    split_id = f"{split:02d}" if isinstance(split, int) else split
    if splits_file is None and split_id != MADE:
        raise ConfigError(
            f"Got task.split={split_id}, but {str(given)!r} has no class_splits.json, and a split that is made is "
            f"called {MADE}. Set task.split='{MADE}', or write class_splits.json into a task folder."
        )
    return build_task(
        name or (given.stem if folder is None else folder.resolve().name),
        replace(cleaned, notes=(*rows.table.notes, *cleaned.notes)),
        split=choose_split(read_json(splits_file), split_id, str(splits_file)) if splits_file else None,
        split_id=split_id,
        label_names=_label_names(_file_or_published(folder, "label_names.json", published)),
        source=str(splits_file or "the class split"),
        published=published is not None,
    )


def load_bundled(name: str, split: str | int = "01", min_texts: int = 0) -> Task:
    """Read a task that comes with the package.

    Args:
        name: its folder in `episodes/`.

    Other arguments: as for `load_folder`.
    """
    return load_folder(bundled_task(name), name, split, min_texts=min_texts, published=name)


def data_folder(name: str) -> Path | None:
    """The folder `$FEWSHOT_DATA/NAME`, if that variable is set and the folder exists."""
    root = os.environ.get("FEWSHOT_DATA")
    folder = Path(root).expanduser() / name if root else None
    return folder if folder is not None and folder.is_dir() else None


def _file_or_published(folder: Path | None, name: str, published: str | None) -> Path | None:
    """The file of a task folder, else the one that comes with the package, if there is one."""
    candidates = [folder / name] if folder else []
    candidates += [bundled_task(published) / name] if published else []
    return next((path for path in candidates if path.is_file()), None)


def _label_names(path: Path | None) -> dict:
    content = read_json(path) if path else {}
    if not isinstance(content, dict):
        raise TaskError(f'{path} was expected to map labels to names, like {{"gout": "Gout"}}. Mend or remove it.')
    return content
