"""The outer loop of all trainings: draw, step, evaluate on the valid classes, keep the best; checkpoints, resuming."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from fewshot.errors import ConfigError, StorageError
from fewshot.progress import track
from fewshot.randomness import child_generator, child_seed
from fewshot.training.checkpoints import Checkpoint, Checkpoints, Progress
from fewshot.training.engine import Engine, load_trained_weights, trained_weights
from fewshot.training.history import TrainingHistory
from fewshot.training.settings import LoopSettings
from fewshot.training.store import TrainingFiles

log = logging.getLogger(__name__)

_MAX_CHECKPOINT_SHARE = 0.02  # of the time: a slow disk has longer pauses


class TrainingRecorder:
    """Checkpoints and TensorBoard events of one training; a context that closes the event files."""

    def __init__(self, settings: LoopSettings, engine: Engine, generator: torch.Generator, files: TrainingFiles | None):
        files = files or TrainingFiles()
        self.settings, self.engine, self.generator = settings, engine, generator
        self.checkpoints = files.checkpoints
        self.watch = files.watch if engine.is_main else None
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
        """Restore weights, optimiser and generators from the newest checkpoint; None if the training starts anew."""
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
        """Open the event files at the current step, hiding later events of an earlier run."""
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
        """Write an evaluation, and a checkpoint if it is time for one, or if it is the last of several."""
        self._write_score(progress)
        if self.checkpoints is None or self.pause is None:
            return
        due = time.monotonic() - self.last >= self.pause or (is_last and self.written > 0)
        if self.engine.agree(float(due)):
            self._write(self.checkpoints, progress)

    def _write_score(self, progress: Progress) -> None:
        if progress.step in progress.scores:
            self._write_events(progress.step, {"valid/accuracy": progress.scores[progress.step]})
            if self.watch is not None:
                self.watch(progress.step, progress.scores[progress.step])

    def _write_events(self, step: int, values: Mapping[str, float]) -> None:
        if self.events is not None:
            for name, value in values.items():
                self.events.add_scalar(name, value, step)

    def _write(self, checkpoints: Checkpoints, progress: Progress) -> None:
        started = time.monotonic()
        generators = self._generators()  # of all processes, so all have to call it
        if self.engine.is_main:
            tensors = self.engine.optimizer_tensors()
            try:
                checkpoints.write(Checkpoint(progress, trained_weights(self.engine.objective), tensors, generators))
            except StorageError as error:
                log.warning(f"{error} The training goes on without this checkpoint.")
        self.written += 1
        self.last = time.monotonic()
        if self.settings.checkpoint_seconds:
            self.pause = max(self.settings.checkpoint_seconds, (self.last - started) / _MAX_CHECKPOINT_SHARE)

    def _generators(self) -> dict[str, Tensor]:
        states = {"draw": self.generator.get_state(), "torch": torch.get_rng_state()}
        if self.engine.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.engine.device)
        return {
            f"{process}/{name}": state
            for name, local in states.items()
            for process, state in enumerate(self.engine.collect(local))
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


def run_loop(
    settings: LoopSettings,
    objective: nn.Module,
    groups: Sequence[dict[str, Any]],
    draw: Callable[[int, torch.Generator], Any],
    score: Callable[[], float] | None,
    *,
    seed: int,
    title: str = "Meta-training",
    stream: str = "training",
    count: Callable[[Any], int] | None = None,
    files: TrainingFiles | None = None,
    stop_at: int | None = None,
) -> TrainingHistory:
    """Train an objective in place; it keeps the weights with the best score.

    Args:
        settings: of the loop.
        objective: `objective(batch)` is the loss, a scalar in nats, or a dictionary of named scalars with `loss` among
            them. It is in `train()` mode in steps, in `eval()` mode in evaluations and at the end.
        groups: AdamW's parameter groups, each with `params`, `lr` and `weight_decay`.
        draw: step (1 for the first) and generator → batch. It has no other state, so that a resumed training draws
            the same. With `accumulate`, a step draws several times.
        score: accuracy of the current objective, on fixed valid episodes; None, with `stop_at`, if nothing is
            evaluated.
        seed: root seed.
        title: of the progress bar.
        stream: name of the generators; processes other than the first add their number.
        count: batch → number of texts in it, for the rate behind the progress bar.
        files: for checkpoints and TensorBoard events; None writes none.
        stop_at: end after this step of the schedule, and keep its weights; None: keep those with the best score.

    A training whose loss or weights become NaN or infinite ends there, with a warning.

    Raises:
        ConfigError: `resume` with sharded weights, or TensorBoard if it is not installed.
        StorageError: a checkpoint cannot be read.
    """
    engine = Engine(objective, groups, settings)
    name = stream if engine.process == 0 else f"{stream}/{engine.process}"
    with _seeded_dropout(child_seed(seed, f"{name}/dropout"), engine.device):
        return _Loop(settings, engine, draw, score, count, child_generator(seed, name), stop_at).run(title, files)


@dataclass
class _Loop:
    """One call of `run_loop`."""

    settings: LoopSettings
    engine: Engine
    draw: Callable[[int, torch.Generator], Any]
    score: Callable[[], float] | None
    count: Callable[[Any], int] | None
    generator: torch.Generator
    stop_at: int | None
    progress: Progress = field(default_factory=Progress)
    texts: int = 0  # in the steps of this process, like the seconds
    seconds: float = 0.0  # without the evaluations

    def run(self, title: str, files: TrainingFiles | None) -> TrainingHistory:
        objective, last_step = self.engine.objective, self._last_step
        with TrainingRecorder(self.settings, self.engine, self.generator, files) as recorder:
            self.progress = progress = recorder.resumed() or Progress()
            if not progress.best:
                self._evaluate()
            recorder.open(progress)
            self.engine.train()
            with track(title, last_step) as advance:
                advance(progress.step)
                while not self._is_over():
                    losses = self._step()
                    if not math.isfinite(losses["loss"]):
                        self._warn_diverged()
                        break
                    advance(note=self._note(losses))
                    recorder.write_step(progress, losses)
                    if progress.step % self.settings.evaluate_every == 0 or progress.step == last_step:
                        if not self._evaluate():
                            break
                        recorder.write_evaluation(progress, is_last=self._is_over())
        load_trained_weights(objective, progress.best)
        objective.eval()
        return progress.history()

    @property
    def _last_step(self) -> int:
        return self.settings.steps if self.stop_at is None else self.stop_at

    def _step(self) -> dict[str, float]:
        started, step = time.perf_counter(), self.progress.step + 1

        def draw() -> Any:
            batch = self.draw(step, self.generator)
            self.texts += self.engine.processes * (self.count(batch) if self.count else 0)
            return batch

        losses = self.engine.step(step, draw)
        self.progress.step = step
        self.progress.losses.append(losses["loss"])
        self.seconds += time.perf_counter() - started
        return losses

    def _evaluate(self) -> bool:
        """Score the weights, and keep them if they are the best; False if they are NaN or infinite."""
        progress, objective = self.progress, self.engine.objective
        self.engine.gather()
        finite = all(bool(weights.isfinite().all()) for weights in trained_weights(objective).values())
        if progress.step and not self.engine.agree(float(finite)):
            self._warn_diverged()
            return False
        best = progress.scores.get(progress.best_step, -math.inf)
        if self.score is not None:
            objective.eval()
            with torch.no_grad():
                progress.scores[progress.step] = self.engine.agree(float(self.score()))
            self.engine.train()
        is_best = self.stop_at is None and progress.scores[progress.step] > best
        if is_best or progress.step in (0, self.stop_at):
            progress.best_step, progress.best = progress.step, trained_weights(objective)
        return True

    def _warn_diverged(self) -> None:
        log.warning(
            f"The training has diverged by step {self.progress.step}: its loss or its weights are no numbers. It ends "
            f"with the weights of step {self.progress.best_step}, which were the best. A lower learning rate may help."
        )

    def _is_over(self) -> bool:
        progress, settings = self.progress, self.settings
        waited = progress.step - progress.best_step
        hopeless = progress.step in progress.scores and waited >= max(1, settings.patience * settings.evaluate_every)
        return progress.step >= self._last_step or (hopeless and self.stop_at is None)

    def _note(self, losses: dict[str, float]) -> str:
        progress = self.progress
        valid = f"  valid {100 * progress.scores[progress.best_step]:.1f} %" if progress.scores else ""
        rate = f"  {self.texts / self.seconds:,.0f} texts/s" if self.texts else ""
        return f"loss {losses['loss']:.3f}{valid}{rate}"


@contextmanager
def _seeded_dropout(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators, which dropout uses, and restore them at the end."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        yield
