"""Two to four processes that do the same at once, in one folder."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults.job import Job
from benchmarks.faults.kills import Undisturbed, in_turn
from benchmarks.faults.processes import Started
from benchmarks.faults.tally import Trial


def crowds(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """Two to four processes on one cache and one output: each ends well or with a sentence, nothing is wrong."""
    for number, (job, undisturbed) in enumerate(in_turn(generator, folder)):
        own, size = folder / f"{number}", generator.randint(2, 4)
        own.mkdir()
        job.prepare(own)

        def attempt(job: Job = job, undisturbed: Undisturbed = undisturbed, own: Path = own, size: int = size) -> str:
            crowd = [Started(own / f"log.{one}", job.run, own) for one in range(size)]
            statuses = [one.end() for one in crowd]
            for status, one in zip(statuses, crowd, strict=True):
                if status not in (0, 2) or "Traceback" in one.said:
                    raise AssertionError(f"status {status}: {one.said[-1200:]}")
            assert 0 in statuses, crowd[0].said[-1200:]
            job.check(own)
            return "same" if job.outcome(own) == undisturbed.outcome else "fault"

        yield Trial(f"crowds {job.name}, {size} processes", attempt)
        shutil.rmtree(own)
