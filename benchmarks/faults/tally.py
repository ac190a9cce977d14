"""Trials and how they end."""

import contextlib
import io
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from fewshot.errors import FewshotError

OUTCOMES = ("refused", "same", "read", "fault")


@dataclass(frozen=True)
class Trial:
    """One attempt.

    Args:
        what: is tried, in words, for the list of faults.
        attempt: gives one of `OUTCOMES`, or raises: a `FewshotError` is refused, any other exception a fault.
    """

    what: str
    attempt: Callable[[], str]


@dataclass
class Tally:
    """Outcomes of the trials of a part, the first faults in words, and seconds."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def run(self, trials: Iterable[Trial], count: int | None, seconds: float) -> None:
        """Run each trial as it is drawn: at most so many (None: all there are), and none begins after the time."""
        started = time.monotonic()
        for trial in islice(trials, count):
            self._run(trial)
            if time.monotonic() - started > seconds:
                break
        self.seconds += time.monotonic() - started

    def _run(self, trial: Trial) -> None:
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                outcome = trial.attempt()
            if "\x1b" in said.getvalue() or "Traceback" in said.getvalue():
                outcome = "fault"
        except FewshotError as error:
            outcome = "refused" if len(str(error)) < 2000 else "fault"
        except Exception:
            outcome = "fault"
            said.write(traceback.format_exc(limit=-3))
        self.outcomes[outcome] += 1
        if outcome == "fault" and len(self.faults) < 20:
            self.faults.append(f"{trial.what}: {said.getvalue()[-1500:]}")
