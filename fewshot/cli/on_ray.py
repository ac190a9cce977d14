"""The start of Ray."""

import logging
import os
import socket
from typing import Any

from fewshot.cli.extras import needed
from fewshot.errors import ConfigError

_SECONDS = 10  # to reach a cluster


def start_ray(address: str | None, setting: str) -> Any:
    """The package `ray`, connected to a cluster, or started on this machine; a second call does nothing.

    Args:
        address: of a cluster; None is that of RAY_ADDRESS, and without it starts Ray here.
        setting: the typed setting, for messages.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at this address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
    ray = needed("ray", "ray", setting)
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if not ray.is_initialized():
        try:
            _check_listening(address)
            ray.init(address, include_dashboard=False, logging_level=logging.ERROR)
        except (OSError, OverflowError, ValueError) as error:
            raise ConfigError(
                f"{setting} found no Ray cluster at {address!r}: {error}. Start one with `ray start --head`, or leave "
                f"out the address."
            ) from error
    return ray


def _check_listening(address: str) -> None:
    """Connect to `HOST:PORT`, as Ray itself tries for many minutes where nothing listens; OSError if that fails."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
