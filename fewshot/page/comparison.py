"""The page that compares several runs."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fewshot.evaluation import paired_difference
from fewshot.page.page import Curve, Row
from fewshot.page.tables import Table
from fewshot.report.collect import WORDS, Run, name_of, sweep_rows
from fewshot.report.jobs import JobWithoutResults
from fewshot.report.table import interval, percent, protocol

_MAX_RUNS = 12  # that are compared pairwise


@dataclass(frozen=True)
class Group:
    """Runs on the same episodes: accuracies, and pairwise differences."""

    title: str
    rows: tuple[Row, ...]
    differences: Table | None


@dataclass(frozen=True)
class Listed:
    """A run: its page relative to the comparison, empty if it has none, and the command that repeats it."""

    name: str
    page: str
    command: str


@dataclass(frozen=True)
class Comparison:
    """The content of the page.

    Args:
        title: of the page.
        summary: the meaning of the numbers.
        table: a row for each run.
        groups: runs that can be compared pairwise.
        curves: accuracy over shots, if runs differ in them.
        failed: jobs without results, and why they have none.
        runs: page and command of each run.
    """

    title: str
    summary: str
    table: Table
    groups: tuple[Group, ...]
    curves: tuple[Curve, ...]
    failed: Table | None
    runs: tuple[Listed, ...]


def comparison_of(runs: Sequence[Run], output: Path, failed: Sequence[JobWithoutResults] = ()) -> Comparison:
    """Compare runs.

    Args:
        runs: one or more.
        output: path of the page, from which its links go.
        failed: jobs without results.
    """
    columns, rows, caption = sweep_rows(runs)
    kinds = "".join("t" if column in WORDS else "n" for column in columns)
    groups = defaultdict(list)
    for run in runs:
        groups[run.episodes].append(run)
    return Comparison(
        title=f"{len(runs)} run{'' if len(runs) == 1 else 's'} of {', '.join(dict.fromkeys(_tasks(runs)))}",
        summary=f"{caption}.",
        table=Table("runs", tuple(columns), kinds, tuple(map(tuple, rows)), sortable=True),
        groups=tuple(
            _group(of_group, f"{number}. " if len(groups) > 1 else "")
            for number, of_group in enumerate(groups.values(), 1)
        ),
        curves=tuple(_shot_curves(runs)),
        failed=_failed(failed),
        runs=tuple(
            Listed(name_of(run, runs), _link(run.folder, output), str(run.results.get("command", ""))) for run in runs
        ),
    )


def _tasks(runs: Sequence[Run]) -> list[str]:
    return [str(run.results["task"]) for run in runs]


def _group(runs: Sequence[Run], prefix: str) -> Group:
    title, names = f"{prefix}{protocol(runs[0].results)}", [name_of(run, runs) for run in runs]
    rows = []
    for name, run in zip(names, runs, strict=True):
        accuracy = run.results["accuracy"]
        low, high = accuracy.get("interval") or (None, None)
        rows.append(Row(name, percent(accuracy), interval(accuracy), share=accuracy["mean"], low=low, high=high))
    differences = None
    if 1 < len(runs) <= _MAX_RUNS:
        cells = [
            (
                f"{number}: {name}",
                *("" if other is run else _difference(run, other) for other in runs),
            )
            for number, (name, run) in enumerate(zip(names, runs, strict=True), 1)
        ]
        columns = ("run", *(f"minus {number}" for number in range(1, len(runs) + 1)))
        differences = Table(f"paired differences in points, {title}", columns, "h" + "n" * len(runs), tuple(cells))
    return Group(title, tuple(rows), differences)


def _failed(jobs: Sequence[JobWithoutResults]) -> Table | None:
    rows = tuple((" ".join(job.overrides), job.message) for job in jobs)
    return Table("runs without results", ("settings", "why"), "hw", rows) if rows else None


def _difference(run: Run, other: Run) -> str:
    return paired_difference(run.accuracies, other.accuracies).percent(sign=True)


def _shot_curves(runs: Sequence[Run]) -> list[Curve]:
    """A chart for each task, split and number of classes, with a line for all runs that differ in shots alone."""
    charts: dict[tuple[str, ...], dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        same_shots = [other for other in runs if other.results["shots"] == run.results["shots"]]
        chart = tuple(run.shown(key) for key in ("task", "split", "ways"))
        charts[chart][name_of(run, same_shots)].append(run)
    curves = []
    for (task, split, ways), named in charts.items():
        lines = {}
        for name, line in named.items():
            points = {}
            for run in line:
                accuracy = run.results["accuracy"]
                low, high = accuracy.get("interval") or (None, None)
                points[float(run.results["shots"])] = (accuracy["mean"], low, high)
            if len(points) > 1:
                lines[name] = tuple((shots, *points[shots]) for shots in sorted(points))
        if lines:
            shots = [point[0] for line in lines.values() for point in line]
            title = f"Accuracy over shots, {task}, split {split}, {ways} classes"
            curves.append(Curve(title, "shots", "accuracy", lines, log=min(shots) > 0))
    return curves


def _link(folder: Path, output: Path) -> str:
    page = folder / "report.html"
    if not page.is_file():
        return ""
    try:
        return f"./{quote(Path(os.path.relpath(page, output.parent)).as_posix())}"
    except ValueError:  # another drive of Windows
        return ""
