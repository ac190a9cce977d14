"""Settings of the steps of every training, whatever is trained."""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

from fewshot.errors import ConfigError

POSITIVE = "positive numbers (steps, patience and weight_decay may be 0)"
Schedule = Literal["constant", "linear", "cosine"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the outer loop; trainers add what they draw and how they optimise.

    Args:
        steps: optimiser steps at most.
        evaluate_every: steps between evaluations on the valid classes.
        patience: evaluations without a better valid accuracy before training stops.
        schedule: the learning rates over the steps: `constant`, or falling to zero as a line or half a cosine.
        warmup: share of the steps in which the rates rise from zero.
        max_gradient_norm: gradients are scaled down to this norm; None leaves them.
        accumulate: batches whose gradients are averaged for one step.
        precision: of the forward pass; `bfloat16` is mixed precision, weights stay in float32.
        checkpoint_seconds: an evaluation that comes so many seconds after the last checkpoint writes one; with 0
            each does, with None none.
        tensorboard: write TensorBoard event files.
    """

    steps: int = 300
    evaluate_every: int = 10
    patience: int = 6
    schedule: Schedule = "constant"
    warmup: float = 0.0
    max_gradient_norm: float | None = None
    accumulate: int = 1
    precision: Precision = "float32"
    checkpoint_seconds: float | None = 60.0
    tensorboard: bool = False

    GROUP: ClassVar[str] = "training"  # of the command line, for messages
    NO_PART_IN_THE_WEIGHTS: ClassVar[tuple[str, ...]] = ("checkpoint_seconds", "tensorboard")

    def __post_init__(self) -> None:
        """Collect every setting that is out of range.

        Raises:
            ConfigError: names them all.
        """
        expected = self.out_of_range()
        if expected:
            got = ", ".join(f"{self.GROUP}.{name}={_plain(getattr(self, name))}" for name in expected)
            sentences = "; ".join(dict.fromkeys(expected.values()))
            raise ConfigError(f"Got {got}. Expected {sentences}. Correct what is named.")

    def out_of_range(self) -> dict[str, str]:
        """Name of each setting that cannot be used → what is expected of it."""
        wrong = _where_not(self, POSITIVE, lambda value: value > 0, "evaluate_every", "accumulate")
        wrong |= _where_not(self, POSITIVE, lambda value: value >= 0, "steps", "patience")
        wrong |= _where_not(self, "warmup as a share between 0 and 1", lambda value: 0 <= value <= 1, "warmup")
        if self.max_gradient_norm is not None and not self.max_gradient_norm > 0:
            wrong["max_gradient_norm"] = "max_gradient_norm above 0, or null"
        if self.checkpoint_seconds is not None and not self.checkpoint_seconds >= 0:
            wrong["checkpoint_seconds"] = "checkpoint_seconds of 0 or more, or null"
        for name, options in (("schedule", get_args(Schedule)), ("precision", get_args(Precision))):
            if getattr(self, name) not in options:
                wrong[name] = f"{name} as one of {', '.join(options)}"
        return wrong

    def determining(self) -> dict[str, Any]:
        """All that has a part in the weights, with the name of the class, for the name of a checkpoint."""
        values = {name: value for name, value in asdict(self).items() if name not in self.NO_PART_IN_THE_WEIGHTS}
        return {"class": type(self).__name__, **values}

    def rate_share(self, step: int) -> float:
        """What the learning rates are multiplied by in a step.

        Args:
            step: 1 for the first step.

        Returns:
            A share in `(0, 1]`.

        Example:
            >>> settings = LoopSettings(steps=10, warmup=0.2, schedule="linear")
            >>> [settings.rate_share(step) for step in (1, 2, 3, 7, 10)]
            [0.5, 1.0, 1.0, 0.5, 0.125]
        """
        rising = round(self.warmup * self.steps)
        if step <= rising:
            return step / rising
        if self.schedule == "constant":
            return 1.0
        gone = (step - rising - 1) / (self.steps - rising)
        return 1 - gone if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * gone))


def _where_not(settings: LoopSettings, expected: str, holds, *names: str) -> dict[str, str]:
    return {name: expected for name in names if not holds(getattr(settings, name))}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
