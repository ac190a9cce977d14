"""Disks that fill up, and folders that cannot be written."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from benchmarks.faults.job import Job, files_of
from benchmarks.faults.jobs import KINDS
from benchmarks.faults.kills import Undisturbed, in_turn
from benchmarks.faults.processes import Started
from benchmarks.faults.tally import Trial

PAGE = 4096  # bytes, of which a disk in memory is made


class Skipped(Exception):
    """A part that this machine cannot run, and why."""


def full_disk(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """A disk of random size, up to what a job needs: one sentence, whole files, and numbers before extras."""
    _check_mounts(folder)
    for number, (job, undisturbed) in enumerate(in_turn(generator, folder)):
        most = _size(folder / "undisturbed" / job.name)
        size = PAGE * generator.randint(4, max(8, most // PAGE))
        own = folder / f"{number}"

        def attempt(job: Job = job, undisturbed: Undisturbed = undisturbed, size: int = size, own: Path = own) -> str:
            own.mkdir()
            with _mounted(own, "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
                try:
                    job.prepare(own)
                except OSError:
                    return "refused"
                return _ended(job, Started(own.with_suffix(".log"), job.run, own), own, undisturbed)

        yield Trial(f"full disk {job.name}, {size} bytes", attempt)


def read_only(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """A folder that is mounted so that it cannot be written: one sentence, and nothing changed."""
    _check_mounts(folder)
    for job, undisturbed in islice(in_turn(generator, folder), len(KINDS)):

        def attempt(job: Job = job, undisturbed: Undisturbed = undisturbed) -> str:
            own = folder / job.name
            own.mkdir()
            job.prepare(own)
            before = files_of(own)
            with _mounted(own, "--bind", str(own)):
                _mount("-o", "remount,ro,bind", str(own))
                outcome = _ended(job, Started(folder / f"{job.name}.log", job.run, own), own, undisturbed)
            assert files_of(own) == before
            return outcome

        yield Trial(f"read only {job.name}", attempt)


def _ended(job: Job, started: Started, folder: Path, undisturbed: Undisturbed) -> str:
    """How a job ended that could not write all: with a sentence, or with the right outcome."""
    status, said = started.end(), started.said
    if status not in (0, 2) or "Traceback" in said or "Logging error" in said:
        raise AssertionError(f"status {status}: {said[-1200:]}")
    job.check(folder)
    job.check_numbers(folder, said)
    if status == 2:
        return "refused"
    return "same" if not job.is_promised or job.outcome(folder) == undisturbed.outcome else "fault"


def _check_mounts(folder: Path) -> None:
    if os.name != "posix" or os.geteuid() != 0:
        raise Skipped("only root can mount a disk")
    probe = folder / "probe"
    probe.mkdir()
    try:
        with _mounted(probe, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
            pass
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skipped(f"this machine mounts no disk in memory ({error})") from error


@contextmanager
def _mounted(folder: Path, *how: str) -> Iterator[None]:
    _mount(*how, str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S607


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)  # noqa: S607


def _size(folder: Path) -> int:
    """Bytes on a disk of pages."""
    return sum(PAGE + -(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*"))
