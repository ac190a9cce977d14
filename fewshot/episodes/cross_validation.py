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
    """Folds as episodes with all classes: the support has the kept texts, the queries are the held-out ones.

    Queries are padded with -1 if a class has fewer held-out texts than another; they are the texts of `tested`.

    Args:
        episodes: one for each fold, repeat by repeat.
        folds: in each repeat.
    """

    episodes: EpisodeBatch
    folds: int

    @property
    def tested(self) -> Int[Tensor, " n_tested"]:
        """Texts that are held out once in each repeat, ascending."""
        queries = self.episodes[: self.folds].query.flatten()
        return queries[queries >= 0].sort().values

    def with_half(self) -> "CrossValidation":
        """The same folds with half of the support of each class, rounded up."""
        counts = self.episodes.support_mask.sum(-1, keepdim=True)
        mask = self.episodes.support_mask & (self.episodes.support_mask.cumsum(-1) <= (counts + 1) // 2)
        support = self.episodes.support.masked_fill(~mask, -1)
        return replace(self, episodes=replace(self.episodes, support=support, support_mask=mask))


def kept_of(size: int) -> int:
    """The smallest number of kept texts, over the folds, of a class with `size` texts."""
    return size - -(-size // FOLDS) if size > 1 else size


def cross_validation(
    task: Task, classes: Sequence[int], shots: int, folds: int = FOLDS, repeats: int = REPEATS
) -> CrossValidation:
    """Draw the folds of a task.

    1. In each repeat the texts of a class go to the folds in turn, in a random order and from a random first fold. A
       class with fewer texts than folds leaves one out at a time.
    2. The only text of a class is never held out.
    3. The support of a class has the first `shots` of its kept texts, in the random order.

    The stream is `cross-validation` with that of the task: folds do not depend on folder names or the order of rows.

    Args:
        task, classes: the task, and ids of its classes, which are the ways.
        shots: maximum of support texts of a class.
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
    max_held = max(-(-len(texts) // folds) for texts in members)
    max_kept = max(min(shots, len(texts)) for texts in members)
    support = torch.full((repeats * folds, len(members), max_kept), -1)
    query = torch.full((repeats * folds, len(members), max_held), -1)
    for repeat in range(repeats):
        generator = child_generator(_SEED, f"cross-validation/{task.stream}/{repeat}")
        for way, texts in enumerate(members):
            texts = texts[torch.randperm(len(texts), generator=generator)]
            first = int(torch.randint(folds, (), generator=generator))
            fold = (first + torch.arange(len(texts))) % folds if len(texts) > 1 else torch.full((1,), -1)
            for number in range(folds):
                kept, held_out = texts[fold != number][:shots], texts[fold == number]
                support[repeat * folds + number, way, : len(kept)] = kept
                query[repeat * folds + number, way, : len(held_out)] = held_out
    ways = torch.tensor(list(classes)).expand(repeats * folds, -1)
    return CrossValidation(EpisodeBatch(ways, support, support >= 0, query), folds)
