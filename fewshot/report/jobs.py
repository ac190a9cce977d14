"""Jobs of sweeps that failed, and why."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JOB = "job.json"


@dataclass(frozen=True)
class FailedJob:
    """A job of a sweep without results.

    Args:
        overrides: its typed settings.
        message: why it failed.
    """

    overrides: tuple[str, ...]
    message: str


def failed_jobs(folders: Iterable[Path]) -> list[FailedJob]:
    """Jobs at or below some folders whose last attempt failed; those of later folders, by name, are later."""
    jobs = {}
    for path in (path for folder in folders for path in sorted(folder.rglob(JOB))):
        job = read_json(path)
        if isinstance(job.get("overrides"), list):
            jobs[tuple(map(str, job["overrides"]))] = job
    failed = {typed: job for typed, job in jobs.items() if job.get("status") == "failed"}
    return [FailedJob(typed, str(job.get("message", ""))) for typed, job in failed.items()]


def read_json(path: Path) -> Mapping[str, Any]:
    """An object of JSON; empty if the file holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
