"""Settings of a training on episodes, and the episodes of a step, as large as the train classes allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import sample_episodes
from fewshot.ranges import POSITIVE, Range
from fewshot.tasks.task import ClassPools
from fewshot.training.loop_settings import LoopSettings


@dataclass(frozen=True)
class EpisodicSettings(LoopSettings):
    """Settings of a training on episodes of the train classes.

    Args:
        ways: classes per training episode; all train classes when None.
        shots: support sizes, taken in turn.
        queries: queries per class.
        scalar_learning_rate: AdamW's rate for scalars such as temperatures and attention weights.
    """

    ways: int | None = 25
    shots: Sequence[int] = (1, 5, 10)
    queries: int = 5
    scalar_learning_rate: float = 1e-2

    RANGES: ClassVar[dict[str, Range]] = LoopSettings.RANGES | {
        **dict.fromkeys(("queries", "scalar_learning_rate"), POSITIVE),
        "ways": (lambda ways: ways is None or ways >= 2, "2 or more, or null for all,"),
        "shots": (lambda shots: len(shots) > 0 and min(shots) >= 0, "a list such as [1,5]"),
    }

    def draw_episodes(self, train: ClassPools, episodes: int, step: int, generator: torch.Generator) -> EpisodeBatch:
        """Draw the episodes of a step.

        1. The support size is the one in `shots` whose turn it is.
        2. Queries, then shots, shrink to what the smallest class allows; ways to the number of classes.

        Args:
            train: pools of the train classes.
            episodes: how many.
            step: number of the step.
            generator: source of all randomness.

        Raises:
            TaskError: a class is too small for one shot and one query.
        """
        smallest = int(train.sizes.min())
        n_query = max(1, min(self.queries, smallest - 1))
        k_shot = min(self.shots[step % len(self.shots)], max(1, smallest - n_query))
        n_way = len(train.classes) if self.ways is None else min(self.ways, len(train.classes))
        return sample_episodes(train, episodes, n_way, k_shot, n_query, generator)

    def scalars(self, parameters: Sequence[torch.Tensor]) -> dict[str, Any]:
        """The parameter group of scalars, which do not decay."""
        return {"params": list(parameters), "lr": self.scalar_learning_rate, "weight_decay": 0.0}
