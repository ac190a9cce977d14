"""Requests that are computed together: an asyncio queue before one worker thread.

    batch = the texts that wait, in order, up to `tokens`        computed when the worker is free

A batch starts when it is full, or `wait` seconds after its first text came. The wait is for requests that arrive
together, so there is none if the last batch held one request alone, and while the worker is busy texts gather by
themselves. A request of many texts is taken in parts, and goes to the end of the queue with its remaining texts, so
that small requests can overtake it.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

_CHARACTERS_PER_TOKEN = 4
_MAX_TOKENS = 512  # of a text, for most encoders
_PATIENCE = 0.05  # seconds in the queue after which the connection of a client is checked
_DECAY = 0.9  # of the running mean of texts a second

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFull(Exception):
    """The queue is full; it should have room in `retry_after` seconds."""

    def __init__(self, retry_after: int):
        super().__init__(retry_after)
        self.retry_after = retry_after


class ClientGone(Exception):
    """Nobody waits for the answer."""


@dataclass(frozen=True)
class Part(Generic[Item]):
    """Some texts of one request.

    Args:
        item: what the request is for.
        texts: to be computed for it.
    """

    item: Item
    texts: Sequence[str]


@dataclass(eq=False)
class _Job(Generic[Item, Result]):
    item: Item
    texts: Sequence[str]
    deadline: float
    future: "asyncio.Future[list[Result]]"
    is_gone: Callable[[], Awaitable[bool]]
    since: float
    costs: Sequence[int]
    results: list[Result] = field(default_factory=list)
    taken: int = 0

    def fitting(self, room: int) -> tuple[int, int]:
        """The end of the texts that fit into `room` tokens, and the tokens that are left."""
        end = self.taken
        while end < len(self.texts) and self.costs[end] <= room:
            room -= self.costs[end]
            end += 1
        return end, room


class Batcher(Generic[Item, Result]):
    """A bounded queue and the one thread that computes what is in it.

    Args:
        compute: gives the results of each part, one for each text; runs in the worker thread.
        tokens: approximate number in a batch; 1 computes each request by itself.
        wait: seconds that the first text of a batch waits at most for others.
        max_texts: number of texts that wait at most.
        on_batch: called with the number of texts and the seconds of each batch.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Part[Item]]], Sequence[Sequence[Result]]],
        tokens: int,
        wait: float,
        max_texts: int,
        on_batch: Callable[[int, float], None] = lambda n_texts, seconds: None,
    ):
        self._compute, self._tokens, self._wait, self._max_texts = compute, tokens, wait, max_texts
        self._on_batch = on_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scoring")
        self._jobs: deque[_Job[Item, Result]] = deque()
        self._arrived, self._full = asyncio.Event(), asyncio.Event()
        self._waiting_tokens = 0
        self._alone = True  # True if the last batch held one request
        self._rate = 100.0  # texts a second
        self.n_waiting = 0

    async def submit(
        self, item: Item, texts: Sequence[str], timeout: float, is_gone: Callable[[], Awaitable[bool]]
    ) -> list[Result]:
        """The results of some texts.

        Args:
            item: goes with them to `compute`.
            texts: one or more.
            timeout: seconds.
            is_gone: True once the client no longer waits.

        Raises:
            QueueFull: at once, if the texts do not fit into the queue.
            TimeoutError: they were not computed in time.
            ClientGone: nobody waits for them.
        """
        if self.n_waiting + len(texts) > self._max_texts:
            raise QueueFull(max(1, math.ceil(self.n_waiting / self._rate)))
        now, future = time.monotonic(), asyncio.get_running_loop().create_future()
        job = _Job[Item, Result](item, texts, now + timeout, future, is_gone, now, list(map(estimated_tokens, texts)))
        self._jobs.append(job)
        self.n_waiting += len(texts)
        self._waiting_tokens += sum(job.costs)
        self._arrived.set()
        if self._waiting_tokens >= self._tokens:
            self._full.set()
        async with asyncio.timeout(timeout):
            return await job.future

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in the worker thread, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def run(self) -> None:
        """Compute the batches, until it is cancelled."""
        while True:
            await self._filled()
            jobs, parts = await self._next_batch()
            if parts:
                began = time.monotonic()
                results = await self.call(self._results, parts)
                self._finish(jobs, results)
                n_texts, seconds = sum(len(part.texts) for part in parts), time.monotonic() - began
                self._rate = _DECAY * self._rate + (1 - _DECAY) * n_texts / max(seconds, 1e-6)
                self._on_batch(n_texts, seconds)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _filled(self) -> None:
        """Wait until there is a batch to compute."""
        await self._arrived.wait()
        left = self._jobs[0].since + self._wait - time.monotonic()
        if self._tokens == 1 or left <= 0 or self._full.is_set() or (self._alone and len(self._jobs) == 1):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._full.wait()

    async def _next_batch(self) -> tuple[list[_Job[Item, Result]], list[Part[Item]]]:
        """Take the texts of the next batch out of the queue; requests without a waiting client are dropped."""
        jobs, parts, room = list[_Job[Item, Result]](), list[Part[Item]](), self._tokens
        while self._jobs:
            job = self._jobs[0]
            if await self._is_over(job):
                self._leave(job, len(job.texts))
                continue
            end, room = job.fitting(room)
            if end == job.taken and parts:
                break
            end = max(end, job.taken + 1)  # a batch holds one text at least
            jobs.append(job)
            parts.append(Part(job.item, job.texts[job.taken : end]))
            self._leave(job, end)
            if job.taken < len(job.texts):
                self._jobs.append(job)  # behind the others
                break
        self._alone = len(parts) == 1
        if not self._jobs:
            self._arrived.clear()
        if self._waiting_tokens < self._tokens:
            self._full.clear()
        return jobs, parts

    def _leave(self, job: _Job[Item, Result], end: int) -> None:
        """Take the texts of the first request up to `end` out of the queue."""
        self._jobs.popleft()
        self.n_waiting -= end - job.taken
        self._waiting_tokens -= sum(job.costs[job.taken : end])
        job.taken = end

    async def _is_over(self, job: _Job[Item, Result]) -> bool:
        """True if a request was answered, or its client no longer waits."""
        if job.future.done():
            return True
        now = time.monotonic()
        if now - job.since > _PATIENCE and await job.is_gone():
            job.future.set_exception(ClientGone())
            return True
        return now > job.deadline

    def _results(self, parts: Sequence[Part[Item]]) -> Sequence[Sequence[Result] | Exception]:
        """Results of each part, or its error; runs in the worker thread."""
        try:
            return self._compute(parts)
        except Exception as error:
            if len(parts) == 1:
                return [error]
        return [self._results([part])[0] for part in parts]  # one text may not fail the requests of others

    @staticmethod
    def _finish(jobs: Sequence[_Job[Item, Result]], results_of_jobs: Sequence[Sequence[Result] | Exception]) -> None:
        for job, results in zip(jobs, results_of_jobs, strict=True):
            if job.future.done():
                continue
            if isinstance(results, Exception):
                job.future.set_exception(results)
                continue
            job.results += results
            if len(job.results) == len(job.texts):
                job.future.set_result(job.results)


def estimated_tokens(text: str) -> int:
    """A cheap estimate of the number of tokens of a text, for batches of about the same cost.

    Example:
        >>> estimated_tokens("where is my parcel?"), estimated_tokens("a" * 100_000)
        (6, 512)
    """
    return min(2 + len(text) // _CHARACTERS_PER_TOKEN, _MAX_TOKENS)
