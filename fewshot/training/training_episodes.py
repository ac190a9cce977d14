"""The episodes of a training step, as large as the train classes allow."""

from collections.abc import Sequence

import torch

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import sample_episodes
from fewshot.tasks.class_pools import ClassPools


def draw_training_episodes(
    train: ClassPools,
    episodes: int,
    ways: int | None,
    shots: Sequence[int],
    queries: int,
    step: int,
    generator: torch.Generator,
) -> EpisodeBatch:
    """Draw the episodes of a step.

    1. The support size is the one in `shots` whose turn it is.
    2. Queries, then shots, shrink to what the smallest class allows; ways to the number of classes.

    Args:
        train: pools of the train classes.
        episodes: how many.
        ways: classes per episode; all when None.
        shots: support sizes, taken in turn.
        queries: queries per class.
        step: number of the step.
        generator: source of all randomness.

    Raises:
        TaskError: a class is too small for one shot and one query.
    """
    smallest = int(train.sizes.min())
    n_query = max(1, min(queries, smallest - 1))
    k_shot = min(shots[step % len(shots)], max(1, smallest - n_query))
    n_way = len(train.classes) if ways is None else min(ways, len(train.classes))
    return sample_episodes(train, episodes, n_way, k_shot, n_query, generator)
