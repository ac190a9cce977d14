"""SIGKILL at any moment: what is there stays whole, and the command, given again, ends with the same bits."""

import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.faults.job import Job
from benchmarks.faults.jobs import jobs
from benchmarks.faults.materials import Materials
from benchmarks.faults.processes import PATIENCE, Started
from benchmarks.faults.tally import Trial

MOST = 3  # kills before a job may end


@dataclass(frozen=True)
class Undisturbed:
    """What a job does when nobody disturbs it: its outcome, seconds, and number of operations on files."""

    outcome: Any
    seconds: float
    operations: int

    @classmethod
    def of(cls, job: Job, folder: Path) -> "Undisturbed":
        """Run it once."""
        folder.mkdir(parents=True)
        job.prepare(folder)
        begun = time.monotonic()
        started = Started(folder / "log", job.run, folder)
        if (status := started.end()) != 0:
            raise RuntimeError(f"{job.name} ends with {status} when nobody disturbs it: {started.said[-2000:]}")
        return cls(job.outcome(folder), time.monotonic() - begun, started.operations)


def in_turn(generator: random.Random, folder: Path) -> Iterator[tuple[Job, Undisturbed]]:
    """All jobs in random order, over and over, each with what it does undisturbed, below a folder."""
    order = jobs(Materials(folder / "materials").make())
    generator.shuffle(order)
    known: dict[Job, Undisturbed] = {}
    for job in cycle(order):
        if job not in known:
            known[job] = Undisturbed.of(job, folder / "undisturbed" / job.name)
        yield job, known[job]


def kills(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """SIGKILL after a random time or before a random operation on a file; one to three, then the job may end."""
    for number, (job, undisturbed) in enumerate(in_turn(generator, folder)):
        own = folder / f"{number}"
        own.mkdir()
        job.prepare(own)
        most = generator.randint(1, MOST)
        for kill in range(most):
            yield Trial(
                f"kills {job.name} {number}.{kill}",
                _Kill(job, own, undisturbed, random.Random(generator.random()), kill + 1 == most),
            )
        shutil.rmtree(own)


@dataclass(frozen=True)
class _Kill:
    job: Job
    folder: Path
    undisturbed: Undisturbed
    generator: random.Random
    is_last: bool

    def __call__(self) -> str:
        seconds, at = self.generator.uniform(0.0, self.undisturbed.seconds), None
        if self.generator.random() < 0.5:
            seconds, at = PATIENCE, self.generator.randint(1, self.undisturbed.operations)
        while (status := self._run(seconds, at)) != -signal.SIGKILL:  # it was over before: a job that was resumed
            assert status == 0, f"status {status}"
            seconds, at = PATIENCE, self.generator.randint(1, at or self.undisturbed.operations)
        self.job.check(self.folder)
        if self.is_last:
            ended = Started(self.folder / "log", self.job.run, self.folder)
            if ended.end() != 0:
                raise AssertionError(f"it cannot be run again: {ended.said[-1000:]}")
            found = self.job.outcome(self.folder)
            if found != self.undisturbed.outcome:
                raise AssertionError(f"got {found}, expected {self.undisturbed.outcome}")
        return "same"

    def _run(self, seconds: float, kill_at: int | None) -> int:
        return Started(self.folder / "log", self.job.run, self.folder, kill_at=kill_at).end(seconds)
