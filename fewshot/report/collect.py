"""One table from many run folders."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from fewshot.errors import ConfigError, printable
from fewshot.evaluation import paired_difference
from fewshot.report.shape import check_results
from fewshot.report.table import percent


@dataclass(frozen=True)
class Run:
    """One `results.json` with the accuracies of its episodes."""

    folder: Path
    results: Mapping[str, Any]
    accuracies: torch.Tensor

    @property
    def episodes(self) -> str:
        """Equal for runs that were scored on the same episodes, and can be compared pairwise."""
        key = (self.results["episodes_sha256"], self.results["task_sha256"], len(self.accuracies))
        return " ".join(map(str, key))

    @property
    def stage(self) -> str:
        """The stage of the ladder, and the final stage if that differs."""
        strategy = self.results.get("strategy") or {}
        names = (strategy.get("stage"), strategy.get("final_stage"))
        return " + ".join(name for name in dict.fromkeys(names) if name)

    @property
    def further(self) -> str:
        """The typed settings without columns of their own."""
        typed = (override.lstrip("+") for override in self.results.get("overrides") or ())
        return " ".join(override for override in typed if override.split("=")[0] not in _COLUMNS)

    def shown(self, column: str) -> str:
        """The cell of a column whose values differ between runs."""
        if column in ("further", "stage"):
            return getattr(self, column)
        return self.results["encoder"]["model"] if column == "encoder" else str(self.results.get(column, ""))


def collect(folder: Path) -> list[Run]:
    """All finished runs at or below a folder, by task, split, ways, shots and folder; ConfigError if it has none."""
    if not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is no folder. Give the folder of a run or of a sweep, such as outputs.")
    runs = [_read(path) for path in sorted(folder.rglob("results.json"), key=_in_order)]
    if not runs:
        raise ConfigError(f"{str(folder)!r} has no results.json at any depth. Give a folder that finished runs are in.")
    return sorted(runs, key=lambda run: tuple(run.results[key] for key in _SORTED_BY))


def sweep_table(runs: Iterable[Run]) -> Table:
    """One row per run, with the paired difference to the first run on the same episodes."""
    columns, rows, caption = sweep_rows(list(runs))
    table = Table(caption=caption)
    for column in columns:
        table.add_column(column, justify="left" if column in WORDS else "right")
    for row in rows:
        table.add_row(*map(printable, row))
    return table


def sweep_rows(runs: Sequence[Run]) -> tuple[list[str], list[list[str]], str]:
    """The columns, the rows and the caption of the table of runs."""
    shared = any((run.results.get("strategy") or {}).get("protocol") == "fixed_test" for run in runs)
    over = " (over supports alone, where these have one test part)" if shared else ""
    varying = [key for key in _VARYING if len({run.shown(key) for run in runs}) > 1]
    first: dict[str, Run] = {}
    rows = [_row(run, first.setdefault(run.episodes, run), varying) for run in runs]
    columns = [*_SORTED_BY, *varying, "learner", "accuracy %", "difference", "macro-F1 %", "ECE"]
    if any("valid_accuracy" in run.results for run in runs):
        columns.append("valid %")
        for row, run in zip(rows, runs, strict=True):
            accuracy = run.results.get("valid_accuracy")
            row.append("" if accuracy is None else f"{100 * accuracy:.1f}")
    return columns, rows, f"± is the 95 % interval; difference: paired, to the first run on the same episodes{over}"


def name_of(run: Run, runs: Sequence[Run]) -> str:
    """The name of a run among others: its learner, and each setting that differs."""
    parts = [str(run.results["learner"])]
    for key in (*_SORTED_BY, *_VARYING):
        if len({other.shown(key) for other in runs}) > 1 and run.shown(key):
            parts.append(run.shown(key) if key in WORDS else f"{key.replace('_', ' ')} {run.shown(key)}")
    return ", ".join(parts)


WORDS = ("task", "learner", "encoder", "stage", "further")  # columns that are no numbers
_SORTED_BY = ("task", "split", "ways", "shots")
_COLUMNS = {"task", "task.split", "task.path", "ways", "shots", "learner", "output", "encoder", "encoder.model"}
_COLUMNS |= {"label_names", "queries", "seed", "support_noise", "realistic", "strategy", "final_stage", "metric"}
_VARYING = ("stage", "encoder", "label_names", "queries", "seed", "support_noise", "realistic", "further")


def _row(run: Run, reference: Run, varying: Sequence[str]) -> list[str]:
    results = run.results
    change = "" if run is reference else paired_difference(run.accuracies, reference.accuracies).percent(sign=True)
    return [
        *(str(results[key]) for key in _SORTED_BY),
        *map(run.shown, varying),
        str(results["learner"]),
        percent(results["accuracy"]),
        change,
        f"{100 * results['macro_f1']['mean']:.1f}",
        f"{results['ece']:.3f}",
    ]


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts job 2 of a sweep before job 10."""
    return [(int(part) if part.isdecimal() else -1, part) for part in path.parts]


def _read(path: Path) -> Run:
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        check_results(results)
        accuracies = json.loads((path.parent / "episode_accuracies.json").read_text(encoding="utf-8"))
        scores = torch.tensor(accuracies[results["learner"]], dtype=torch.float64)
        if scores.dim() != 1 or not len(scores) or not scores.isfinite().all():
            raise ValueError("episode_accuracies.json holds no list of accuracies")
        return Run(path.parent, results, scores)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ConfigError(
            f"{path} cannot be read ({type(error).__name__}: {error}). Expected what a run writes, with "
            f"episode_accuracies.json beside it. Run it again, or move the folder away."
        ) from error
