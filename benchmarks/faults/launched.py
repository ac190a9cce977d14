"""Two processes under torchrun, killed and resumed to the same bits."""

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import psutil

from benchmarks.faults.materials import Materials
from benchmarks.faults.runs import EncoderTraining, MetaTraining, Run
from benchmarks.faults.tally import Trial


def launched(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """SIGKILL of both processes once there is a checkpoint; resumed, the weights and numbers are the same."""
    materials = Materials(folder / "materials").make()
    known = dict[Run, object]()
    for number, kind in enumerate(cycle((EncoderTraining, MetaTraining))):
        job: Run = kind(materials)
        if job not in known:
            known[job] = _undisturbed(job, folder / "undisturbed" / job.name)
        outcome, own = known[job], folder / f"{number}"
        own.mkdir()

        def attempt(job: Run = job, outcome: object = outcome, own: Path = own) -> str:
            started = _launch(job, own)
            while started.poll() is None and not list((own / "out" / "checkpoints").rglob("SHA256SUMS")):
                time.sleep(0.01)
            time.sleep(generator.uniform(0.0, 0.3))
            for process in (psutil.Process(started.pid), *psutil.Process(started.pid).children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            started.wait()
            job.check(own)
            if _launch(job, own).wait() != 0:
                raise AssertionError((own / "log").read_text()[-1500:])
            log = (own / "log").read_text()  # of a training that was just over when the kill came, the result is kept
            assert "Going on after step" in log or "reuse=false trains anew" in log
            return "same" if job.outcome(own) == outcome else "fault"

        yield Trial(f"launched {job.name} {number}", attempt)


def _undisturbed(job: Run, folder: Path) -> object:
    folder.mkdir(parents=True)
    if _launch(job, folder).wait() != 0:
        raise RuntimeError((folder / "log").read_text()[-2000:])
    return job.outcome(folder)


def _launch(job: Run, folder: Path) -> subprocess.Popen[bytes]:
    """Start it under torchrun."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "fewshot.run", *job.arguments(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)
