"""A progress bar that appears after two seconds, unless another one is visible; log lines if there is no terminal."""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

from fewshot.processes import is_main

log = logging.getLogger(__name__)

DELAY = 2.0  # seconds before a bar appears
PAUSE = 30.0  # seconds between lines if standard error is no terminal
_visible = False


@contextmanager
def track(description: str, total: int | None, unit: str = "") -> Iterator[Callable[..., None]]:
    """Show a bar on standard error once the work takes longer than two seconds; the main process shows it for all.

    If standard error is no terminal, a line is logged every half minute instead.

    Args:
        description: name of the work, for the user.
        total: number of steps; None if unknown.
        unit: name of the steps ("texts"), to show their rate.

    Yields:
        `advance(n=1, note="")`: call after each `n` steps; `note` replaces the text behind the bar.

    Example:
        >>> with track("Counting", total=2) as advance:
        ...     advance()
        ...     advance(note="done")
    """
    global _visible
    bar, task_id, done = None, None, 0
    of = "" if total is None else f" of {total:,}"
    started = logged = time.perf_counter()
    shown = is_main() and _is_terminal()

    def advance(n: int = 1, note: str = "") -> None:
        global _visible
        nonlocal bar, task_id, done, logged
        done += n
        now = time.perf_counter()
        elapsed = now - started
        if is_main() and not shown and now - logged > PAUSE:
            log.info("  ".join(filter(None, (f"{description}: {done:,}{of} after {elapsed:.0f} s", note))))
            logged = now
        if bar is None and elapsed > DELAY and shown and not _visible:
            bar, task_id = _start_bar(description, total, done)
            _visible = True
        if bar is not None:
            rate = f"{done / elapsed:,.0f} {unit}/s" if unit else ""
            bar.update(task_id, completed=done, note="  ".join(filter(None, (rate, note))))

    try:
        yield advance
    finally:
        if bar is not None:
            bar.stop()
            _visible = False


def import_tqdm() -> None:
    """Import tqdm, as transformers and accelerate do, without its advice to install ipywidgets in a notebook."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import_module("tqdm.auto")


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _start_bar(description: str, total: int | None, done: int):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    bar.start()
    return bar, bar.add_task(description, total=total, completed=done, note="")
