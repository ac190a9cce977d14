"""A progress bar that appears after two seconds, unless another one is visible."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fewshot.processes import is_main

DELAY = 2.0  # seconds before a bar appears
_visible = False


@contextmanager
def track(description: str, total: int, unit: str = "") -> Iterator[Callable[..., None]]:
    """Show a bar on standard error once the work has taken longer than two seconds; one process shows it for all.

    Args:
        description: name of the work, for the user.
        total: number of steps.
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
    started = time.perf_counter()

    def advance(n: int = 1, note: str = "") -> None:
        global _visible
        nonlocal bar, task_id, done
        done += n
        elapsed = time.perf_counter() - started
        if bar is None and elapsed > DELAY and is_main() and not _visible:
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


def _start_bar(description: str, total: int, done: int):
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
        disable=not console.is_terminal,  # a log file has no use for a bar
    )
    bar.start()
    return bar, bar.add_task(description, total=total, completed=done, note="")
