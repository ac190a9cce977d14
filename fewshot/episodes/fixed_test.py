"""Standard splits: one fixed test part of the texts, and supports drawn from the rest.

With many shots there are not enough texts for queries of their own in each episode; and what is trained for minutes is
trained a few times, not six hundred.
"""

import logging
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.errors import ConfigError, TaskError
from fewshot.randomness import child_generator
from fewshot.tasks.task import Task

log = logging.getLogger(__name__)

_FEW = 5  # test texts of a class; with fewer it is worth a warning
_SEED = 0  # the seed of a run changes training, never what is measured on


def fixed_test_episodes(
    task: Task, classes: Sequence[int], ways: int | None, shots: int, test_texts: int, episodes: int
) -> EpisodeBatch:
    """Episodes that differ in their supports, and in their classes where `ways` is fewer than all.

    1. Of each class the same texts are the test part, `test_texts` or half of the smallest class. Which come first
       depends on the name of the task and the label alone, not on shots or on the class split; how many, on the
       smallest class too.
    2. A support has up to `shots` of the other texts of a class; where there are fewer, all of them, and the mask is
       false behind them.
    3. The support with fewer shots is the beginning of the one with more.

    Args:
        task: the task.
        classes: class ids to choose from.
        ways: classes per episode, None for all.
        shots: most support texts per class; 0 for none.
        test_texts: most queries per class.
        episodes: how many; one where every support would be the same texts.

    Raises:
        ConfigError: more ways than classes.
        TaskError: a class of one text.
    """
    if ways is not None and ways > len(classes):
        raise ConfigError(
            f"Got ways={ways}, but there are only {len(classes)} classes to draw from. Lower ways, or set ways=all to "
            f"use every class."
        )
    members = [(task.labels == label).nonzero().flatten() for label in classes]
    smallest = min(range(len(classes)), key=lambda place: len(members[place]))
    if len(members[smallest]) < 2:
        raise TaskError(
            f"Class {task.classes[classes[smallest]]!r} has {len(members[smallest])} text, but one is needed for the "
            f"support and one for the test part. Add texts, or set task.min_texts=2 to leave such classes out."
        )
    queries = min(test_texts, len(members[smallest]) // 2)
    if queries < min(test_texts, _FEW):
        log.warning(
            "The test part has %d texts of each class, for the class %r has %d texts; expected %d. Add texts of it, or "
            "leave out classes as small as that (task.min_texts=%d).",
            *(queries, task.classes[classes[smallest]], len(members[smallest]), test_texts, 2 * _FEW),
        )
    parted = [_parted(task, label, own, queries) for label, own in zip(classes, members, strict=True)]
    short = [len(rest) for _, rest in parted if len(rest) < shots]
    if short:
        log.info(
            "%d of %d classes have fewer than %d texts beside the test part of %d each: %d or more",
            *(len(short), len(classes), shots, queries, min(short)),
        )
    ids = torch.tensor(list(classes))
    largest = max(len(rest) for _, rest in parted)
    most = min(shots, largest)
    if episodes > 1 and shots >= largest and ways in (None, len(classes)):
        log.info("One support, for all texts beside the test part are in it")
        episodes = 1
    chosen = torch.stack([_ways(task, len(classes), ways, number) for number in range(episodes)])
    test = torch.stack([own for own, _ in parted])
    support = torch.full((*chosen.shape, most), -1)
    for number, row in enumerate(chosen.tolist()):
        for way, place in enumerate(row):
            own = _drawn(task, classes[place], parted[place][1], number)[:most]
            support[number, way, : len(own)] = own
    return EpisodeBatch(ids[chosen], support, support >= 0, test[chosen])


def most_support(task: Task, classes: Sequence[int], test_texts: int) -> int:
    """Texts that the largest class has beside the test part of `fixed_test_episodes`."""
    sizes = torch.bincount(task.labels, minlength=len(task.classes))[torch.tensor(list(classes))]
    return int(sizes.max()) - min(test_texts, int(sizes.min()) // 2)


def _parted(task: Task, label: int, members: Tensor, queries: int) -> tuple[Tensor, Tensor]:
    """The test part of a class, and the rest."""
    generator = child_generator(_SEED, f"fixed test/{task.name}/{task.classes[label]}")
    shuffled = members[torch.randperm(len(members), generator=generator)]
    return shuffled[:queries], shuffled[queries:]


def _ways(task: Task, n_classes: int, ways: int | None, episode: int) -> Int[Tensor, " n_way"]:
    if ways is None or ways == n_classes:
        return torch.arange(n_classes)
    return torch.randperm(n_classes, generator=child_generator(_SEED, f"fixed test/{task.name}/ways {episode}"))[:ways]


def _drawn(task: Task, label: int, rest: Tensor, episode: int) -> Tensor:
    """The texts of a class that are not in the test part, in the order in which an episode takes them."""
    generator = child_generator(_SEED, f"fixed test/{task.name}/{task.classes[label]}/support {episode}")
    return rest[torch.randperm(len(rest), generator=generator)]
