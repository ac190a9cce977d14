"""Standard splits: one fixed test part of the texts, and supports drawn from the rest.

With many shots there are too few texts for separate queries in each episode, and training for minutes is done a few
times, not six hundred.
"""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import too_many_ways
from fewshot.errors import TaskError
from fewshot.randomness import child_generator
from fewshot.tasks.task import Task

log = logging.getLogger(__name__)

_FEW = 5  # test texts of a class; fewer give a warning
_SEED = 0  # the seed of a run changes training, never the episodes


def fixed_test_episodes(
    task: Task, classes: Sequence[int], ways: int | None, shots: int, test_texts: int, episodes: int
) -> EpisodeBatch:
    """Episodes that differ in their supports, and in their classes if `ways` is fewer than all.

    1. Of each class the same texts are the test part: `test_texts`, or half of the smallest class. Their order depends
       on the name of the task and the label alone, not on shots or on the class split.
    2. A support has up to `shots` of the other texts of a class; if there are fewer, all of them, and the mask is
       false behind them.
    3. The support with fewer shots is the beginning of the one with more.

    Args:
        task: the task.
        classes: class ids to choose from.
        ways: classes per episode, None for all.
        shots: maximum of support texts per class; 0 for none.
        test_texts: maximum of queries per class.
        episodes: their number; one if every support would be the same texts.

    Raises:
        ConfigError: more ways than classes.
        TaskError: a class of one text.
    """
    if ways is not None and ways > len(classes):
        raise too_many_ways(ways, len(classes))
    members = [(task.labels == label).nonzero().flatten() for label in classes]
    size, smallest = min((len(own), task.classes[label]) for own, label in zip(members, classes, strict=True))
    if size < 2:
        raise TaskError(
            f"Class {smallest!r} has {size} text, but one is needed for the support and one for the test part. Add "
            f"texts, or set task.min_texts=2 to leave such classes out."
        )
    queries = min(test_texts, size // 2)
    if queries < min(test_texts, _FEW):
        log.warning(
            f"The test part has {queries} texts of each class, for the class {smallest!r} has {size} texts; expected "
            f"{test_texts}. Add texts of it, or leave out such small classes (task.min_texts={2 * _FEW})."
        )
    names = [f"{task.name}/{task.classes[label]}" for label in classes]
    shuffled = [_shuffled(own, name) for own, name in zip(members, names, strict=True)]
    rests = [own[queries:] for own in shuffled]
    short = [len(rest) for rest in rests if len(rest) < shots]
    if short:
        log.info(
            f"{len(short)} of {len(classes)} classes have fewer than {shots} texts beside the test part of {queries} "
            f"each: {min(short)} or more"
        )
    largest, every = max(map(len, rests)), torch.arange(len(classes))
    has_all_classes = ways in (None, len(classes))
    if episodes > 1 and shots >= largest and has_all_classes:
        log.info("One support, for it has all texts beside the test part")
        episodes = 1
    drawn = [every if has_all_classes else _shuffled(every, f"{task.name}/ways {n}")[:ways] for n in range(episodes)]
    chosen = torch.stack(drawn)
    support = torch.full((*chosen.shape, min(shots, largest)), -1)
    for number, row in enumerate(chosen.tolist()):
        for way, place in enumerate(row):
            own = _shuffled(rests[place], f"{names[place]}/support {number}")[:shots]
            support[number, way, : len(own)] = own
    test = torch.stack([own[:queries] for own in shuffled])
    return EpisodeBatch(torch.tensor(list(classes))[chosen], support, support >= 0, test[chosen])


def max_support(task: Task, classes: Sequence[int], test_texts: int) -> int:
    """Texts of the largest class beside the test part of `fixed_test_episodes`."""
    sizes = torch.bincount(task.labels, minlength=len(task.classes))[torch.tensor(list(classes))]
    return int(sizes.max()) - min(test_texts, int(sizes.min()) // 2)


def _shuffled(values: Tensor, stream: str) -> Tensor:
    return values[torch.randperm(len(values), generator=child_generator(_SEED, f"fixed test/{stream}"))]
