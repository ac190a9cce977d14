"""Requests at a given rate, whether or not earlier ones were answered: what latency at a share of full load needs.

    arrivals: a Poisson process of the rate      latency = answered - due, so a client that waits hides nothing

A closed loop of N clients asks less of a slow server; its percentiles say little of what users see.
"""

import asyncio
import collections
import gc
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

NO_ANSWER = 0  # the status of a request that was sent, and whose connection ended
NOT_SENT = -1  # the status of one that found no connection
_CONNECTIONS = 2500  # at most; more than a server lets wait


@dataclass
class Load:
    """What became of some requests.

    Args:
        statuses: status → requests, `NO_ANSWER` and `NOT_SENT` among them.
        latencies: of requests with status 200, seconds.
    """

    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    latencies: list[float] = field(default_factory=list)

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time."""

    def __init__(self, client: "Client"):
        self._client, self._buffer, self._due = client, b"", 0.0
        self._busy = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._busy, self._due, self._buffer = True, due, b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[16:]) for line in lines if line.startswith(b"content-length: ")), 0)
        if len(body) >= length:
            self._busy = False
            self._client.answered(int(head[9:12]), time.monotonic() - self._due)
            if b"connection: close" not in lines:
                self._client.idle.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.n_open -= 1
        if self in self._client.idle:
            self._client.idle.remove(self)
        if self._busy:
            self._client.answered(NO_ANSWER, 0.0)


class Client:
    """Sends texts to a server on this machine."""

    def __init__(self, port: int, bodies: Sequence[bytes]):
        self._port = port
        self._requests = [
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            for body in bodies
        ]
        self.idle: list[_Connection] = []
        self.load = Load()
        self.n_open = 0
        self._underway = 0

    async def run(self, rate: float, seconds: float, seed: int = 0, grace: float = 15.0) -> Load:
        """Send so many requests a second for some seconds, and wait for the answers."""
        gc.collect()
        gc.freeze()  # a client that collects garbage is late
        generator, loop = random.Random(seed), asyncio.get_running_loop()
        self.load, start = Load(), time.monotonic()
        due, tasks = start, set[asyncio.Task[None]]()
        while due < start + seconds:
            if (ahead := due - time.monotonic()) > 0:
                await asyncio.sleep(ahead)
            self._underway += 1
            request = generator.choice(self._requests)
            if self.idle:
                self.idle.pop().send(request, due)
            elif self.n_open >= _CONNECTIONS:
                self.answered(NOT_SENT, 0.0)
            else:
                self.n_open += 1
                task = loop.create_task(self._on_new_connection(request, due))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            due += generator.expovariate(rate)
        end = time.monotonic() + grace
        while self._underway and time.monotonic() < end:
            await asyncio.sleep(0.05)
        self.load.statuses[NO_ANSWER] += self._underway
        return self.load

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self._underway -= 1
        self.load.statuses[status] += 1
        if status == 200:
            self.load.latencies.append(seconds)

    async def _on_new_connection(self, request: bytes, due: float) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self), "127.0.0.1", self._port
            )
        except OSError:
            self.n_open -= 1
            self.answered(NOT_SENT, 0.0)
            return
        connection.send(request, due)
