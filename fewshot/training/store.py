"""The folders of the trainings of a run: checkpoints, results of finished ones, and TensorBoard's events."""

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
    """The files of a training; None writes none.

    Args:
        checkpoints: of the training.
        events: a folder for TensorBoard.
        finished: the result of the training.
        watch: is called with the step and the valid accuracy of each evaluation; an exception ends the training.
    """

    checkpoints: Checkpoints | None = None
    events: Path | None = None
    finished: Finished = field(default_factory=Finished)
    watch: Callable[[int, float], None] | None = None


@dataclass(frozen=True)
class Store:
    """The folders of a run.

    Args:
        episodes: for test episodes that are not shipped; None keeps none.
        checkpoints: for the checkpoints of all trainings of all runs; None keeps none.
        events: for TensorBoard's event files; None writes none.
        trainings: for the results of finished meta-trainings; None keeps none.
        resume: True if trainings resume from their newest checkpoints.
        reuse: True if a stored result replaces a new meta-training.
        watch: is called with the name of a training, the step and the valid accuracy of each evaluation of the
            trainings of the meta-model; an exception ends the run.
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
        """True if trainings write anything."""
        return any(folder is not None for folder in (self.checkpoints, self.events, self.trainings))

    def files(self, name: str, determining: Mapping[str, Any]) -> TrainingFiles:
        """The files of a training, by a readable name and all that determines its weights except the code."""
        training = {**determining, "installation": installation(), "processes": process_count()}
        training = json.loads(json.dumps(training))  # as it is after writing and reading
        return TrainingFiles(
            None if self.checkpoints is None else Checkpoints(self.checkpoints, name, training, self.resume),
            None if self.events is None else self.events / file_name(name),
            Finished()
            if self.trainings is None
            else Finished(self.trainings / training_name(name, training), training, self.reuse),
            None if self.watch is None else partial(self.watch, name),
        )
