"""What a job is: one thing in the package that writes files."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.faults.materials import Materials


@dataclass(frozen=True)
class Job(ABC):
    """One thing that writes files below a folder; each method but `run` is for the process of the harness.

    A new room adds a subclass, and its name to `KINDS` in `jobs.py`.
    """

    materials: Materials
    is_promised: ClassVar[bool] = True  # whether an exit status of 0 promises the outcome

    @property
    def name(self) -> str:
        """In words."""
        return type(self).__name__

    @abstractmethod
    def run(self, folder: Path) -> int:
        """Do it, or go on with it; gives the exit status."""

    @abstractmethod
    def outcome(self, folder: Path) -> Any:
        """What it left, as values that are equal if the work is; raises where something is missing or damaged."""

    def prepare(self, folder: Path) -> None:
        """Write what is there before the first run."""
        return

    def check(self, folder: Path) -> None:
        """Raise if a file that has its name is not whole; called after a kill and after a failure."""
        return

    def check_numbers(self, folder: Path, said: str) -> None:
        """Raise if numbers were computed, and are neither in a file nor in what the job said."""
        return


def files_of(folder: Path, pattern: str = "*") -> dict[str, str]:
    """Digests of the files below a folder, by path."""
    files = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in files}


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
