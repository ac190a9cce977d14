"""Jobs of sweeps that have no results, and why."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOB = "job.json"


@dataclass(frozen=True)
class JobWithoutResults:
    """A job of a sweep that failed or was pruned.

    Args:
        overrides: its typed settings.
        message: why it has no results.
        pruned: True if its sweeper ended it because others were better.
    """

    overrides: tuple[str, ...]
    message: str
    pruned: bool = False


def jobs_without_results(folders: Iterable[Path]) -> list[JobWithoutResults]:
    """Jobs at or below some folders whose last attempt failed or was pruned; later folders, by name, are later."""
    jobs = {}
    for path in (path for folder in folders for path in sorted(folder.rglob(JOB))):
        job = read_json(path)
        if isinstance(job.get("overrides"), list):
            jobs[tuple(map(str, job["overrides"]))] = job
    return [
        JobWithoutResults(typed, str(job.get("message", "")), job["status"] == "pruned")
        for typed, job in jobs.items()
        if job.get("status") in ("failed", "pruned")
    ]


def read_json(path: Path) -> Mapping[str, Any]:
    """An object of JSON; empty if the file holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
