"""Where the trainings of a run write: checkpoints, what finished ones gave, and TensorBoard's events."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fewshot.processes import process_count
from fewshot.resources import installation
from fewshot.storage import file_name
from fewshot.training.checkpoints import Checkpoints, training_name
from fewshot.training.finished import Finished


@dataclass(frozen=True)
class TrainingFiles:
    """Where a training may write; None writes none.

    Args:
        checkpoints: on the way.
        events: a folder for TensorBoard.
        finished: what the training gives.
        watch: gets the step and the valid accuracy of each evaluation; what it raises ends the training.
    """

    checkpoints: Checkpoints | None = None
    events: Path | None = None
    finished: Finished = field(default_factory=Finished)
    watch: Callable[[int, float], None] | None = None


@dataclass(frozen=True)
class Store:
    """The folders of a run.

    Args:
        episodes: keeps test episodes that are not shipped; None keeps none.
        checkpoints: keeps the checkpoints of all trainings of all runs; None keeps none.
        events: gets TensorBoard's event files.
        trainings: keeps what finished meta-trainings gave; None keeps nothing.
        resume: whether trainings go on from their newest checkpoints.
        reuse: whether a meta-training that is kept stands for a new one.
        watch: gets the name of a training, the step and the valid accuracy of each evaluation of the trainings of the
            meta-model; what it raises ends the run.
    """

    episodes: Path | None = None
    checkpoints: Path | None = None
    events: Path | None = None
    trainings: Path | None = None
    resume: bool = False
    reuse: bool = True
    watch: Callable[[str, int, float], None] | None = None

    @property
    def keeps_trainings(self) -> bool:
        """Whether trainings write anything."""
        return any(folder is not None for folder in (self.checkpoints, self.events, self.trainings))

    def files(self, name: str, determining: Mapping[str, Any]) -> TrainingFiles:
        """The places of a training, by a name for people and all that determines its weights but for the code."""
        everything = {**determining, "installation": installation(), "processes": process_count()}
        everything = json.loads(json.dumps(everything))  # as it is after writing and reading
        return TrainingFiles(
            None if self.checkpoints is None else Checkpoints(self.checkpoints, name, everything, self.resume),
            None if self.events is None else self.events / file_name(name),
            Finished()
            if self.trainings is None
            else Finished(self.trainings / training_name(name, everything), everything, self.reuse),
            None if self.watch is None else partial(self.watch, name),
        )
