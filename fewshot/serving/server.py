"""The server process: load, listen, and stop without losing an answer."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from fewshot.errors import ConfigError
from fewshot.serving.app import create_app
from fewshot.serving.guard import LOOPBACK, Guard
from fewshot.serving.service import Service

log = logging.getLogger(__name__)

_KEEP_ALIVE = 75  # seconds that an idle connection is kept: longer than clients and proxies, which then close it
_DRAIN = 2.0  # seconds after the signal to stop in which open connections get their last answers
_TICK = 0.02
_SWITCH_INTERVAL = 0.0005  # seconds, see sys.setswitchinterval; the default of 0.005 delays answers and computations


def bound(host: str, port: int) -> socket.socket:
    """A bound socket, made before models are loaded; ConfigError if the address is not available."""
    bound_socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound_socket.bind((host, port))
    except (OSError, OverflowError, UnicodeError) as error:
        bound_socket.close()
        reason = (getattr(error, "strerror", None) or str(error)).rstrip(".")
        raise ConfigError(
            f"Could not listen on {host} port {port}: {reason}. Choose another --port or --host."
        ) from error
    return bound_socket


def check_address(host: str, key: str | None, insecure: bool) -> None:
    """Raise a ConfigError for an address that other machines reach without a key."""
    if host not in LOOPBACK and key is None and not insecure:
        raise ConfigError(
            f"Got --host {host}, which other machines may reach, and no key. Set the environment variable "
            f"FEWSHOT_API_KEY to what requests must bear, or add --insecure if something else keeps strangers out."
        )


def serve(service: Service, listening: socket.socket, host: str, key: str | None, started: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; SIGHUP reloads the models. `started` is called once it listens."""
    guard = Guard(
        create_app(service),
        key=key,
        hosts=LOOPBACK if key is None and host in LOOPBACK else (),
        timeout=service.limits.timeout,
        on_response=service.metrics.request,
    )
    config = uvicorn.Config(
        guard,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(service.limits.timeout) + 1,
    )
    _Server(config, service, guard, started).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Stops in two steps: it takes no new connections and closes open ones after their next answer; then it ends."""

    def __init__(self, config: uvicorn.Config, service: Service, guard: Guard, started: Callable[[], None]):
        super().__init__(config)
        self._service, self._guard, self._started = service, guard, started
        self._reloads: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End the process with status 0 on a signal to stop, once all is answered."""
        loop = asyncio.get_running_loop()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and call `started`."""
        await super().startup(sockets)
        if self.started:
            gc.collect()
            gc.freeze()  # searching modules and models for garbage would stop all answers each time
            sys.setswitchinterval(_SWITCH_INTERVAL)
            self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what was sent before the connections close."""
        self._guard.draining = True
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + _DRAIN
        while self.server_state.connections and loop.time() < end and not self.force_exit:
            await asyncio.sleep(_TICK)
        await super().shutdown([])

    def _reload(self) -> None:
        task: asyncio.Task[Any] = asyncio.create_task(self._service.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)
