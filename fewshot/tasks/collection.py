"""Several data sets as one task, whose episodes are each drawn within one of them."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

import torch

from fewshot.errors import ConfigError
from fewshot.tasks.task import PARTS, Task

_T = TypeVar("_T")


def collect(tasks: Mapping[str, Task], name: str | None = None) -> Task:
    """One task of several, to meta-train on all of them; a single task is returned unchanged.

    Its classes are called `SOURCE/LABEL`; label names, descriptions and the class split of each source stay. A text may
    be in two sources, since no episode has classes of both.

    Args:
        tasks: name of a source → its task.
        name: of the collection; the names of the sources, joined by `+`, when None.

    Raises:
        ConfigError: no task.

    Example:
        >>> from fewshot.tasks import load_bundled
        >>> terms = load_bundled("medical_terms")
        >>> both = collect({"a": terms, "b": terms})
        >>> both.name, len(both.texts) == 2 * len(terms.texts), len(both.source_pools("train")["b"].classes)
        ('a+b', True, 57)
    """
    if not tasks:
        raise ConfigError("Got no task to collect, expected one or more. Write task=[banking77,clinc150], for example.")
    if len(tasks) == 1:
        return next(iter(tasks.values()))
    starts = [0, *accumulate(len(task.classes) for task in tasks.values())]
    placed = list(zip(tasks.items(), starts, strict=False))
    return Task(
        name=name or "+".join(tasks),
        texts=tuple(text for task in tasks.values() for text in task.texts),
        labels=torch.cat([task.labels + start for (_, task), start in placed]),
        classes=tuple(f"{source}/{label}" for source, task in tasks.items() for label in task.classes),
        label_names=tuple(label for task in tasks.values() for label in task.label_names),
        parts={
            part: tuple(label + start for (_, task), start in placed for label in task.parts[part]) for part in PARTS
        },
        split="+".join(dict.fromkeys(task.split for task in tasks.values())),
        descriptions=_filled([(task.descriptions, len(task.classes), "") for task in tasks.values()]),
        synonyms=_filled([(task.synonyms, len(task.texts), ()) for task in tasks.values()]),
        notes=tuple(f"{source}: {note}" for source, task in tasks.items() for note in task.notes),
        stream="+".join(task.stream for task in tasks.values()),
        sources={source: tuple(range(start, start + len(task.classes))) for (source, task), start in placed},
    )


def _filled(parts: Sequence[tuple[tuple[_T, ...], int, _T]]) -> tuple[_T, ...]:
    """The values of all sources in a row, `missing` for a source without; () if no source has any."""
    if not any(values for values, _, _ in parts):
        return ()
    return tuple(value for values, size, missing in parts for value in values or (missing,) * size)
