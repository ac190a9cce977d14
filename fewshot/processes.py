"""The processes that a launcher such as torchrun started, and the index of this one."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn, TypeVar

T = TypeVar("T")

_PATIENCE = timedelta(hours=6)  # for the first process to encode; a launcher ends the others if it dies


def process_count() -> int:
    """Number of processes that the launcher started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def process_index() -> int:
    """Number of this process, from 0."""
    return int(os.environ["RANK"]) if process_count() > 1 else 0


def is_main() -> bool:
    """True if this process writes files, logs and shows progress."""
    return process_index() == 0


def connect() -> None:
    """Join the other processes, if there are any; calling it again does nothing."""
    if process_count() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.accelerator.is_available(), timeout=_PATIENCE)  # left alone, it ignores gloo


def disconnect() -> None:
    """Leave the other processes at the end of the work, if they were joined."""
    if process_count() > 1:
        from accelerate import PartialState

        PartialState().destroy_process_group()


def leave(status: int) -> NoReturn:
    """End this process with an exit status.

    gloo's threads outlive their group, and release Python objects of the last exchange. If one does so while Python
    shuts down, it aborts the process ("terminate called without an active exception"; one exit in 20 with FSDP2). So
    one of several processes exits without Python's shutdown.
    """
    if process_count() == 1:
        sys.exit(status)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def as_main(value: T) -> T:
    """The value in the first process, for decisions that must be the same in all."""
    if process_count() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    connect()
    values = [value]
    broadcast_object_list(values)
    return values[0]


@contextmanager
def main_first() -> Iterator[None]:
    """The first process runs the block before all others, which then find its results in a cache."""
    if process_count() == 1:
        yield
        return
    from accelerate import PartialState

    connect()
    with PartialState().main_process_first():
        yield
