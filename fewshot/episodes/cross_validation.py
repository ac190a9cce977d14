"""Repeated stratified cross-validation: every text of every class is held out once in each repeat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.errors import TaskError
from fewshot.randomness import child_generator
from fewshot.tasks.task import Task

FOLDS, REPEATS = 5, 5
_SEED = 0  # the seed of a run changes training, never the folds


@dataclass(frozen=True)
class CrossValidation:
    """Folds as episodes whose ways are all classes: the support is what is kept, the queries are what is held out.

    Queries are padded with -1 where a class has fewer texts held out than another; they are the texts of `tested`.

    Args:
        episodes: one for each fold, repeat by repeat.
        folds: in each repeat.
    """

    episodes: EpisodeBatch
    folds: int

    @property
    def tested(self) -> Int[Tensor, " n_tested"]:
        """Texts that are held out once in each repeat, ascending."""
        held = self.episodes[: self.folds].query.flatten()
        return held[held >= 0].sort().values

    def with_half(self) -> "CrossValidation":
        """The same folds with half of the support of each class, rounded up."""
        counts = self.episodes.support_mask.sum(-1, keepdim=True)
        mask = self.episodes.support_mask & (self.episodes.support_mask.cumsum(-1) <= (counts + 1) // 2)
        support = self.episodes.support.masked_fill(~mask, -1)
        return replace(self, episodes=replace(self.episodes, support=support, support_mask=mask))


def kept_of(size: int) -> int:
    """Fewest texts of a class of some size that are kept in a fold."""
    return size - -(-size // FOLDS) if size > 1 else size


def cross_validation(
    task: Task, classes: Sequence[int], shots: int, folds: int = FOLDS, repeats: int = REPEATS
) -> CrossValidation:
    """Draw the folds of a task.

    1. In each repeat the texts of a class go to the folds in turn, in a drawn order and from a drawn first fold. A
       class of fewer texts than folds leaves one out at a time.
    2. The only text of a class is never held out.
    3. Of what is kept of a class, the first `shots` in the drawn order are its support.

    The stream is `cross-validation` with that of the task: neither names of folders nor the order of rows play a part.

    Args:
        task, classes: the task, and class ids of it, which are the ways.
        shots: most support texts of a class.
        folds, repeats: their numbers.

    Raises:
        TaskError: no class has two texts.
    """
    members = [(task.labels == label).nonzero().flatten() for label in classes]
    if max(map(len, members)) < 2:
        raise TaskError(
            f"No class of the task {task.name!r} has two texts, but one is needed to learn from and one to test on. "
            f"Add texts."
        )
    held_at_once = max(-(-len(own) // folds) for own in members)
    largest = max(min(shots, len(own)) for own in members)
    support = torch.full((repeats * folds, len(members), largest), -1)
    query = torch.full((repeats * folds, len(members), held_at_once), -1)
    for repeat in range(repeats):
        generator = child_generator(_SEED, f"cross-validation/{task.stream}/{repeat}")
        for way, own in enumerate(members):
            own = own[torch.randperm(len(own), generator=generator)]
            first = int(torch.randint(folds, (), generator=generator))
            fold = (first + torch.arange(len(own))) % folds if len(own) > 1 else torch.full((1,), -1)
            for number in range(folds):
                kept, held = own[fold != number][:shots], own[fold == number]
                support[repeat * folds + number, way, : len(kept)] = kept
                query[repeat * folds + number, way, : len(held)] = held
    ways = torch.tensor(list(classes)).expand(repeats * folds, -1)
    return CrossValidation(EpisodeBatch(ways, support, support >= 0, query), folds)
