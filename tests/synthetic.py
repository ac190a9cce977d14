"""Synthetic tasks: Gaussian class clusters from explicit generators, so that a test knows what it should find."""

import torch
from torch import Tensor

from fewshot.features import TaskFeatures
from fewshot.learners import LEARNERS, Learner, Support
from fewshot.tasks.task import ClassPools, Task


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clusters(
    n_classes: int, per_class: int, dim: int = 32, signal: int = 8, nuisance: float = 0.0, seed: int = 0
) -> tuple[TaskFeatures, Tensor]:
    """Features of texts and label names, and the class of each text.

    The classes differ in the first `signal` dimensions, with noise of standard deviation 0.5 within a class.  The
    other dimensions say nothing of the class and have standard deviation `nuisance`.
    """
    generator = seeded(seed)
    means = torch.zeros(n_classes, dim)
    means[:, :signal] = torch.randn(n_classes, signal, generator=generator)
    spread = torch.full((dim,), nuisance)
    spread[:signal] = 0.5
    labels = torch.arange(n_classes).repeat_interleave(per_class)
    texts = means[labels] + spread * torch.randn(len(labels), dim, generator=generator)
    names = means + spread * torch.randn(n_classes, dim, generator=generator)
    return TaskFeatures(texts, names), labels


def pools_of(sizes: list[int]) -> ClassPools:
    """Classes 0, 1, ... of the given sizes, their texts interleaved, so that an index says nothing of its class."""
    labels = torch.repeat_interleave(torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=seeded(99))]
    return ClassPools.from_labels(labels, range(len(sizes)), [f"class {c}" for c in range(len(sizes))])


def small_task(sizes: tuple[int, int, int] = (6, 3, 5), per_class: int = 12, name: str = "small", **fields) -> Task:
    """A task with so many train, valid and test classes; texts are `"<label> <number>"`."""
    n_classes = sum(sizes)
    labels = [f"label{c:02d}" for c in range(n_classes)]
    ends = sizes[0], sizes[0] + sizes[1]
    parts = {
        "train": tuple(range(ends[0])),
        "valid": tuple(range(*ends)),
        "test": tuple(range(ends[1], n_classes)),
    }
    content = {
        "name": name,
        "texts": tuple(f"{label} {n}" for label in labels for n in range(per_class)),
        "labels": torch.arange(n_classes).repeat_interleave(per_class),
        "classes": tuple(labels),
        "label_names": tuple(labels),
        "parts": parts,
        "split": "01",
    }
    return Task(**(content | fields))


def primed(name: str, dim: int, seed: int = 0, **arguments) -> Learner:
    """A learner whose every parameter has been moved away from its first value."""
    learner = LEARNERS[name](dim, **arguments)
    generator = seeded(seed)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return learner


def random_support(
    episodes: int = 3, n_way: int = 4, k_shot: int = 5, dim: int = 6, names: bool = True, seed: int = 1
) -> tuple[Support, Tensor]:
    """A full support of overlapping classes, and queries."""
    generator = seeded(seed)
    means = torch.randn(episodes, n_way, 1, dim, generator=generator)
    features = means + torch.randn(episodes, n_way, k_shot, dim, generator=generator)
    query = (means + torch.randn(episodes, n_way, 3, dim, generator=generator)).flatten(1, 2)
    label_names = means[:, :, 0] + torch.randn(episodes, n_way, dim, generator=generator) if names else None
    return Support(features, torch.ones(episodes, n_way, k_shot, dtype=torch.bool), label_names), query
