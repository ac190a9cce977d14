"""How often an endpoint is asked, and how much in all; shared by the threads that ask."""

import threading
import time
from collections.abc import Callable


class BudgetSpent(Exception):
    """There is nothing left to ask with."""


class Budget:
    """A hard limit on requests and tokens.

    Args:
        requests: most requests, those that failed included; None is no limit.
        tokens: no request is begun once answers and questions have taken so many; None is no limit.
    """

    def __init__(self, requests: int | None = None, tokens: int | None = None):
        self.requests = requests
        self.tokens = tokens
        self.n_requests = 0
        self.n_tokens = 0
        self._lock = threading.Lock()

    @property
    def is_spent(self) -> bool:
        """Whether no further request may be made."""
        no_requests = self.requests is not None and self.n_requests >= self.requests
        return no_requests or (self.tokens is not None and self.n_tokens >= self.tokens)

    def take(self) -> None:
        """Count a request that is about to be made.

        Raises:
            BudgetSpent: it may not be made.
        """
        with self._lock:
            if self.is_spent:
                raise BudgetSpent
            self.n_requests += 1

    def add(self, tokens: int) -> None:
        """Count the tokens of an answer and its question."""
        with self._lock:
            self.n_tokens += tokens


class Pace:
    """Begins requests at even distances, and none while the endpoint wants to be left alone.

    Args:
        per_minute: most requests in a minute; None is no limit.
        clock: seconds that never go back.
        sleep: waits for a number of seconds; by default until `end` at most.
    """

    def __init__(
        self,
        per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ):
        self._distance = 0.0 if per_minute is None else 60.0 / per_minute
        self._clock = clock
        self._ended = threading.Event()
        self._sleep = self._ended.wait if sleep is None else sleep
        self._next = clock()
        self._lock = threading.Lock()

    @property
    def ended(self) -> bool:
        """Whether no more requests are to be made."""
        return self._ended.is_set()

    def wait(self) -> None:
        """Return when the next request may begin."""
        with self._lock:
            begin = max(self._clock(), self._next)
            self._next = begin + self._distance
            seconds = begin - self._clock()
        if seconds > 0:
            self._sleep(seconds)

    def hold(self, seconds: float) -> None:
        """Let no further request begin for a while."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)

    def end(self) -> None:
        """Wake all that wait, for good."""
        self._ended.set()
