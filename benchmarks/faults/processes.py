"""Processes that start in a moment: forked from a server that has loaded the package and has no threads."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from fewshot.errors import FewshotError

_LOADED = (
    "torch",
    "transformers.models.bert.modeling_bert",
    "sentence_transformers",
    "fewshot.cli.app",
    "fewshot.cli.main",
    "fewshot.cli.fitting",
    "fewshot.cli.predicting",
    "fewshot.experiment.experiment",
    "fewshot.page.of_run",
    "fewshot.page.render",
    "fewshot.report.table",
    "fewshot.training",
    "benchmarks.faults.jobs",
)
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_WAIT_POLICY": "PASSIVE"}
PATIENCE = 180.0  # seconds
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


class Started:
    """A process that runs a function whose result is its exit status, and what it has said."""

    def __init__(self, log: Path, target: Callable[..., int], *arguments: Any, kill_at: int | None = None):
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_LOADED))
        with _environment():
            self.process: ForkServerProcess = context.Process(target=_body, args=(log, target, arguments, kill_at))
            self.process.start()

    def end(self, seconds: float = PATIENCE) -> int:
        """Wait for it, and SIGKILL it after so long; its exit status, which is then -9."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode

    @property
    def said(self) -> str:
        """All of its standard output and error."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    @property
    def operations(self) -> int:
        """How often it opened a file to write, made, renamed or removed one."""
        return int(self.log.with_suffix(".operations").read_text())


def _body(log: Path, target: Callable[..., int], arguments: tuple[Any, ...], kill_at: int | None) -> None:
    import torch

    torch.set_num_threads(1)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    counted = [0]

    def count(event: str, details: tuple[Any, ...]) -> None:
        if event in _EVENTS or (event == "open" and details[2] & _WRITES):
            counted[0] += 1
            if counted[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        status = target(*arguments)
    except FewshotError as error:
        print(f"error: {error}")
        status = 2
    total = counted[0]
    log.with_suffix(".operations").write_text(str(total))
    sys.exit(status)


@contextmanager
def _environment() -> Iterator[None]:
    """The environment of the server, which it gets when the first process is started."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
