"""Print a table, and write its figures with the versions and the machine behind them."""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from fewshot.report.table import show
from fewshot.resources import versions
from fewshot.storage import write_json

RESULTS = Path(__file__).parent / "results"


def record(name: str, command: str, rows: Sequence[Mapping[str, Any]], **details: Any) -> None:
    """Print rows as a table and write `results/NAME.json`.

    Args:
        name: of the benchmark.
        command: what makes these figures.
        rows: one mapping per line, all with the same keys.
        **details: further figures and settings, kept in the file.
    """
    show_rows(name, rows)
    content = {"command": command, "rows": list(rows), **details, "versions": versions(), "machine": machine()}
    write_json(RESULTS / f"{name}.json", content)


def show_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    show(table)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
