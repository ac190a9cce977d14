"""Checkpoints and TensorBoard events of a training, and how it goes on from a checkpoint."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fewshot.errors import ConfigError, StorageError
from fewshot.training.checkpoints import Checkpoint, Checkpoints, Progress, TrainingFiles
from fewshot.training.engine import Engine, load_trained_weights, trained_weights
from fewshot.training.settings import LoopSettings

log = logging.getLogger(__name__)

_LARGEST_SHARE = 0.02  # of the time, for checkpoints: a slow disk has longer pauses


class TrainingRecorder:
    """Checkpoints and TensorBoard events of one training; a context that closes the event files."""

    def __init__(self, settings: LoopSettings, engine: Engine, generator: torch.Generator, files: TrainingFiles | None):
        files = files or TrainingFiles()
        self.settings, self.engine, self.generator = settings, engine, generator
        self.checkpoints = files.checkpoints
        self.folder = files.events if settings.tensorboard and engine.is_main else None
        self.events: Any = None  # TensorBoard's writer
        self.written, self.pause = 0, settings.checkpoint_seconds
        self.last = time.monotonic()
        if engine.sharded and self.checkpoints is not None:
            if self.checkpoints.resume:
                raise ConfigError(
                    "Got resume=true where weights are sharded (FSDP, DeepSpeed), expected whole weights in every "
                    "process. Leave out resume=true, or launch with torchrun."
                )
            log.warning("Weights are sharded (FSDP, DeepSpeed): this training writes no checkpoints.")
            self.checkpoints = None

    def resumed(self) -> Progress | None:
        """Bring weights, optimiser and generators to the newest checkpoint; None where the training starts anew."""
        if self.checkpoints is None or not self.checkpoints.resume:
            return None
        newest = self.checkpoints.newest() if self.engine.is_main else None
        number = int(self.engine.agree(float(newest or 0)))
        if not number:
            log.info(f"No checkpoint in {self.checkpoints.folder}: training starts from the beginning")
            return None
        checkpoint = self.checkpoints.read(number)
        load_trained_weights(self.engine.objective, checkpoint.last)
        self.engine.load_optimizer_tensors(checkpoint.optimizer)
        self._set_generators(checkpoint.generators)
        log.info(f"Going on after step {checkpoint.progress.step}, from {self.checkpoints.folder}")
        self.written = 1
        return checkpoint.progress

    def open(self, progress: Progress) -> None:
        """Begin the event files where the training starts, hiding later ones of an earlier run."""
        if self.folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ConfigError(
                    "Got training.tensorboard=true, but tensorboard is not installed. "
                    "Run `pip install 'fewshot-text[tensorboard]'`, or set training.tensorboard=false."
                ) from error
            self.events = SummaryWriter(str(self.folder), purge_step=progress.step + 1 if progress.step else None)
        self._write_score(progress)

    def write_step(self, progress: Progress, losses: dict[str, float]) -> None:
        """Write the losses of a step to the event files."""
        values = {**losses, "rate_share": self.settings.rate_share(progress.step)}
        self._write_events(progress.step, {f"train/{name}": value for name, value in values.items()})

    def write_evaluation(self, progress: Progress, is_last: bool) -> None:
        """Write down an evaluation, and a checkpoint if it is time for one, or if it is the last of several."""
        self._write_score(progress)
        if self.checkpoints is None or self.pause is None:
            return
        due = time.monotonic() - self.last >= self.pause or (is_last and self.written > 0)
        if self.engine.agree(float(due)):
            self._write(self.checkpoints, progress)

    def _write_score(self, progress: Progress) -> None:
        if progress.step in progress.scores:
            self._write_events(progress.step, {"valid/accuracy": progress.scores[progress.step]})

    def _write_events(self, step: int, values: Mapping[str, float]) -> None:
        if self.events is not None:
            for name, value in values.items():
                self.events.add_scalar(name, value, step)

    def _write(self, checkpoints: Checkpoints, progress: Progress) -> None:
        started = time.monotonic()
        generators = self._generators()  # of all processes, so all have to be here
        if self.engine.is_main:
            tensors = self.engine.optimizer_tensors()
            try:
                checkpoints.write(Checkpoint(progress, trained_weights(self.engine.objective), tensors, generators))
            except StorageError as error:
                log.warning(f"{error} The training goes on without this checkpoint.")
        self.written += 1
        self.last = time.monotonic()
        if self.settings.checkpoint_seconds:
            self.pause = max(self.settings.checkpoint_seconds, (self.last - started) / _LARGEST_SHARE)

    def _generators(self) -> dict[str, Tensor]:
        states = {"draw": self.generator.get_state(), "torch": torch.get_rng_state()}
        if self.engine.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.engine.device)
        return {
            f"{process}/{name}": state
            for name, own in states.items()
            for process, state in enumerate(self.engine.collect(own))
        }

    def _set_generators(self, states: dict[str, Tensor]) -> None:
        process = self.engine.process
        self.generator.set_state(states[f"{process}/draw"])
        torch.set_rng_state(states[f"{process}/torch"])
        if self.engine.device.type == "cuda":
            torch.cuda.set_rng_state(states[f"{process}/cuda"], self.engine.device)

    def __enter__(self) -> "TrainingRecorder":
        return self

    def __exit__(self, *error: Any) -> None:
        if self.events is not None:
            self.events.close()
