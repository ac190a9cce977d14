"""`fewshot evaluate --group COLUMN --robustness`: the accuracy of groups, and on changed texts."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fewshot.errors import ConfigError
from fewshot.tables import LabelledRows, guess_columns, open_table
from fewshot.tables.rows import check_column

if TYPE_CHECKING:
    from fewshot.evaluation.gaps import Gaps
    from fewshot.experiment.result import ExperimentResult
    from fewshot.tasks.task import Task

Grouped = Sequence[tuple[str, str]]  # the text and the group of each row


def groups_of(path: Path, text: str | None, label: str | None, group: str | None) -> Grouped | None:
    """The text and the group of each row of a table; the group of an empty cell is "(none)". None for no column.

    Raises:
        ConfigError: the table is standard input, which cannot be read twice.
        TaskError: there is no such column, or it has too many groups or one.
    """
    if group is None:
        return None
    if str(path) == "-":
        raise ConfigError("Got --group with standard input, expected a file. Save the texts in one.")
    table = open_table(path)
    groups = []
    for location, record in table:
        check_column(record, group, location, "Name another column with --group.")
        groups.append(str("" if record[group] is None else record[group]).strip() or "(none)")
    texts, _ = LabelledRows(table, guess_columns(table, text, label)).lists()
    from fewshot.evaluation.gaps import check_groups

    check_groups(groups)
    return list(zip(texts, groups, strict=True))


def gaps_of_result(result: "ExperimentResult", task: "Task", grouped: Grouped | None, robust: bool) -> "Gaps":
    """The gaps of a cross-validation.

    Args:
        result, task: the cross-validation.
        grouped: see `groups_of`; None compares no groups.
        robust: True scores changed texts too.
    """
    from fewshot.evaluation.gaps import Gaps, group_gap
    from fewshot.experiment.robustness import robustness
    from fewshot.tasks.task import normalise

    gap = None
    if grouped is not None:
        of_text = {normalise(text): group for text, group in reversed(grouped)}  # of equal texts the first one counts
        sample = result.evaluation.sample
        groups = [of_text[normalise(task.texts[index])] for index in sample.texts[0].tolist()]
        gap = group_gap(result.evaluation.hits, sample, groups)
    return Gaps(gap, tuple(robustness(result, task)) if robust else ())


def gaps_of_answers(
    answers: Callable[[list[str]], list[str]],
    texts: list[str],
    labels: list[str],
    right: Sequence[bool],
    grouped: Grouped | None,
    robust: bool,
) -> "Gaps":
    """The gaps of a fitted classifier.

    Args:
        answers: texts → labels.
        texts, labels: of the table.
        right: True where the answer to a text is its label.
        grouped, robust: see `gaps_of_result`.
    """
    import torch

    from fewshot.evaluation.gaps import Gaps, group_gap
    from fewshot.evaluation.intervals import Sample
    from fewshot.experiment.robustness import robustness_of

    gap = None
    if grouped is not None:
        sample = Sample("fixed_test", torch.arange(len(texts))[None])
        gap = group_gap(torch.tensor([right]).double(), sample, [group for _, group in grouped])
    return Gaps(gap, tuple(robustness_of(answers, texts, labels)) if robust else ())


def show_gaps(gaps: "Gaps") -> Iterator[str]:
    """Print the tables of gaps; yields a sentence about them."""
    from fewshot.report import gaps as report
    from fewshot.report.table import show

    if gaps.groups is not None:
        show(report.gaps_table(report.GROUPS, report.GROUP_COLUMNS, report.group_rows(gaps.groups)))
        yield gaps.groups.sentence
    if gaps.changes:
        show(report.gaps_table(report.CHANGES, report.CHANGE_COLUMNS, report.change_rows(gaps.changes)))
