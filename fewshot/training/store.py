"""Where a run keeps what it computes, to be found again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewshot.processes import process_count
from fewshot.resources import __version__
from fewshot.training.checkpoints import Checkpoints


@dataclass(frozen=True)
class TrainingFiles:
    """Where a training may write: its checkpoints, and a folder for TensorBoard; None writes none."""

    checkpoints: Checkpoints | None = None
    events: Path | None = None


@dataclass(frozen=True)
class Store:
    """The folders of a run.

    Args:
        episodes: keeps test episodes that are not shipped; None keeps none.
        checkpoints: keeps the checkpoints of all trainings of all runs; None keeps none.
        events: gets TensorBoard's event files.
        resume: whether trainings go on from their newest checkpoints.
    """

    episodes: Path | None = None
    checkpoints: Path | None = None
    events: Path | None = None
    resume: bool = False

    @property
    def keeps_trainings(self) -> bool:
        """Whether trainings write anything."""
        return self.checkpoints is not None or self.events is not None

    def files(self, name: str, determining: Mapping[str, Any]) -> TrainingFiles | None:
        """The places of one training; None where nothing is kept.

        Args:
            name: what is trained on what, for people.
            determining: what determines the weights, as JSON can hold it; version and number of processes are added.
        """
        if not self.keeps_trainings:
            return None
        everything = {**determining, "version": __version__, "processes": process_count()}
        return TrainingFiles(
            None if self.checkpoints is None else Checkpoints(self.checkpoints, name, everything, self.resume),
            None if self.events is None else self.events / name,
        )
