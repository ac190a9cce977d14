"""Settings of the steps of every training, and of those on episodes."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, ClassVar, Literal, get_args

import torch

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import sample_episodes
from fewshot.ranges import NOT_NEGATIVE, POSITIVE, SHARE, Range, RangedSettings, one_of, or_null
from fewshot.tasks.task import ClassPools

Schedule = Literal["constant", "linear", "cosine"]
Precision = Literal["float32", "bfloat16"]
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class LoopSettings(RangedSettings):
    """Settings of the outer loop; trainers add those of their batches and optimisers.

    Args:
        steps: optimiser steps at most.
        evaluate_every: steps between evaluations on the valid classes.
        patience: evaluations without a better valid accuracy before training stops.
        schedule: the learning rates over the steps: `constant`, or falling to zero as a line or half a cosine.
        warmup: share of the steps in which the rates rise from zero.
        max_gradient_norm: gradients are scaled down to this norm; None leaves them.
        accumulate: batches whose gradients are averaged for one step.
        precision: of the forward pass; `bfloat16` is mixed precision, weights stay in float32.
        checkpoint_seconds: seconds from a checkpoint to the next evaluation that writes one; 0: each evaluation writes
            one; None: none does.
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

    GROUP: ClassVar[str] = "training"
    RANGES: ClassVar[dict[str, Range]] = {
        **dict.fromkeys(("evaluate_every", "accumulate"), POSITIVE),
        **dict.fromkeys(("steps", "patience"), NOT_NEGATIVE),
        "warmup": SHARE,
        "max_gradient_norm": or_null(POSITIVE),
        "checkpoint_seconds": or_null(NOT_NEGATIVE),
        "schedule": one_of(*get_args(Schedule)),
        "precision": one_of(*get_args(Precision)),
    }
    NOT_DETERMINING: ClassVar[tuple[str, ...]] = ("checkpoint_seconds", "tensorboard")

    def determining(self) -> dict[str, Any]:
        """All settings that determine the weights, with the name of the class, for the name of a checkpoint."""
        values = {name: value for name, value in asdict(self).items() if name not in self.NOT_DETERMINING}
        return {"class": type(self).__name__, **values}

    def rate_share(self, step: int) -> float:
        """Factor of the learning rates in a step (1 for the first), in `(0, 1]`.

        Example:
            >>> settings = LoopSettings(steps=10, warmup=0.2, schedule="linear")
            >>> [settings.rate_share(step) for step in (1, 2, 3, 7, 10)]
            [0.5, 1.0, 1.0, 0.5, 0.125]
        """
        n_warmup = round(self.warmup * self.steps)
        if step <= n_warmup:
            return step / n_warmup
        if self.schedule == "constant":
            return 1.0
        done = (step - n_warmup - 1) / (self.steps - n_warmup)
        return 1 - done if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class EpisodicSettings(LoopSettings):
    """Settings of a training on episodes of the train classes.

    Args:
        ways: classes per training episode; all train classes when None.
        shots: support sizes, taken in turn.
        queries: queries per class.
        scalar_learning_rate: AdamW's rate for scalars such as temperatures and attention weights.
        source_power: sources of a collection are drawn in proportion to this power of their number of train classes:
            0: all alike, 1: by classes. In between, small sources are not lost among the large ones.
    """

    ways: int | None = 25
    shots: Sequence[int] = (1, 5, 10)
    queries: int = 5
    scalar_learning_rate: float = 1e-2
    source_power: float = 0.5

    RANGES: ClassVar[dict[str, Range]] = LoopSettings.RANGES | {
        **dict.fromkeys(("queries", "scalar_learning_rate"), POSITIVE),
        "source_power": SHARE,
        "ways": (lambda ways: ways is None or ways >= 2, "2 or more, or null for all,"),
        "shots": (lambda shots: len(shots) > 0 and min(shots) >= 0, "a list such as [1,5]"),
    }

    def draw_episodes(
        self, sources: Sequence[ClassPools], episodes: int, step: int, generator: torch.Generator
    ) -> EpisodeBatch:
        """Draw the episodes of a step.

        1. All of them are of one source, see `source_in_turn`.
        2. The support sizes in `shots` take turns.
        3. The smallest class of the source limits queries, then shots; its number of classes limits ways.

        A class that is too small for one shot and one query is a TaskError.
        """
        train = sources[source_in_turn(step, [len(pools.classes) ** self.source_power for pools in sources])]
        smallest = int(train.sizes.min())
        n_query = max(1, min(self.queries, smallest - 1))
        k_shot = min(self.shots[step % len(self.shots)], max(1, smallest - n_query))
        n_way = len(train.classes) if self.ways is None else min(self.ways, len(train.classes))
        return sample_episodes(train, episodes, n_way, k_shot, n_query, generator)

    def scalars(self, parameters: Sequence[torch.Tensor]) -> dict[str, Any]:
        """The parameter group of scalars, which do not decay."""
        return {"params": list(parameters), "lr": self.scalar_learning_rate, "weight_decay": 0.0}


def source_in_turn(step: int, weights: Sequence[float]) -> int:
    """Index of the source of a step: in proportion to the weights, evenly over the steps, without a generator.

    Step t takes the source in whose share of [0, 1) the number t / golden ratio mod 1 falls. These numbers are spread
    evenly over any run of steps, so that each source comes with each support size.

    Source: Weyl's equidistribution theorem; the golden ratio has the lowest discrepancy of such sequences.

    Example:
        >>> [source_in_turn(step, [1.0, 1.0, 2.0]) for step in range(1, 9)]
        [2, 0, 2, 1, 0, 2, 1, 2]
    """
    point = step * _GOLDEN % 1 * sum(weights)
    ends = list(accumulate(weights))
    return next((index for index, end in enumerate(ends) if point < end), len(weights) - 1)
