"""Accuracy by groups of texts, and on texts changed without a change of meaning."""

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fewshot.errors import ConfigError, TaskError
from fewshot.evaluation.intervals import Estimate, Sample

FEWEST = 10  # texts of a group that is compared
_MAX_GROUPS = 50
_SHUFFLES = 2000


@dataclass(frozen=True)
class GroupAccuracy:
    """The accuracy of one group of texts, of `n_texts`."""

    name: str
    n_texts: int
    accuracy: Estimate


@dataclass(frozen=True)
class GroupGap:
    """The accuracies of all groups, and the difference of the largest to the smallest.

    Args:
        groups: the lowest accuracy first.
        gap: among groups of `FEWEST` texts or more; None if fewer than two are that large.
        by_chance: share of random groups of the same sizes that differ as much or more; None likewise.
    """

    groups: tuple[GroupAccuracy, ...]
    gap: float | None
    by_chance: float | None

    @property
    def compared(self) -> tuple[GroupAccuracy, ...]:
        """The groups of `FEWEST` texts or more."""
        return tuple(group for group in self.groups if group.n_texts >= FEWEST)

    @property
    def sentence(self) -> str:
        """The difference, and how often random groups differ as much, for a person to read."""
        if self.gap is None or self.by_chance is None:
            return f"Fewer than two groups have {FEWEST} texts or more, so no difference is computed."
        low, high = self.compared[0], self.compared[-1]
        chance = "less than 0.1" if self.by_chance < 0.001 else f"{100 * self.by_chance:.1f}"
        sentence = f"{low.name!r} is {100 * self.gap:.1f} points below {high.name!r}."
        return f"{sentence} Of random groups of these sizes {chance} % are as far apart."

    def as_json(self) -> dict[str, Any]:
        """Under its keys, for a report."""
        groups = [{"name": g.name, "texts": g.n_texts, "accuracy": g.accuracy.as_json()} for g in self.groups]
        return {"groups": groups, "gap": self.gap, "by_chance": self.by_chance}


@dataclass(frozen=True)
class ChangeEffect:
    """The effect of a change of texts on accuracy.

    Args:
        name: of the change, such as `typos`.
        n_texts: number of texts that it changes; the others do not count.
        before, after: accuracy on these texts, unchanged and changed.
        difference: of both, paired.
    """

    name: str
    n_texts: int
    before: Estimate
    after: Estimate
    difference: Estimate

    def as_json(self) -> dict[str, Any]:
        """Under its keys, for a report."""
        figures = {name: getattr(self, name).as_json() for name in ("before", "after", "difference")}
        return {"name": self.name, "texts": self.n_texts, **figures}


@dataclass(frozen=True)
class Gaps:
    """Differences in accuracy: between groups of texts, and by changes of texts; None and () are not measured."""

    groups: GroupGap | None = None
    changes: tuple[ChangeEffect, ...] = ()


def group_gap(hits: Float[Tensor, "episodes n_texts"], sample: Sample, groups: Sequence[str]) -> GroupGap:
    """Compare groups of texts, by fairlearn's MetricFrame.

    Args:
        hits: 1 for each text that is classified correctly, in each repeat.
        sample: the texts, the same ones in the same order in each repeat.
        groups: the group of each text.

    Raises:
        TaskError: fewer than two groups, or more than 50.
        ConfigError: fairlearn is not installed.

    Example:
        >>> hits = torch.tensor([[1.0] * 12 + [0.0, 1.0] * 6])
        >>> found = group_gap(hits, Sample("fixed_test", torch.arange(24)[None]), ["en"] * 12 + ["de"] * 12)
        >>> [(group.name, group.n_texts, group.accuracy.mean) for group in found.groups], found.gap
        ([('de', 12, 0.5), ('en', 12, 1.0)], 0.5)
        >>> round(found.by_chance, 2)
        0.01
    """
    check_groups(groups)
    sizes, frame = Counter(groups), _metric_frame(hits, groups)
    accuracies = []
    for name, mean in frame.by_group.items():
        of_group = torch.tensor([group == name for group in groups])
        accuracy = _of_texts(sample, of_group).share(hits[:, of_group])
        assert abs(accuracy.mean - float(mean)) < 1e-9
        accuracies.append(GroupAccuracy(str(name), sizes[name], accuracy))
    accuracies.sort(key=lambda group: group.accuracy.mean)
    large = torch.tensor([sizes[group] >= FEWEST for group in groups])
    names = [group for group in groups if sizes[group] >= FEWEST]
    if len(set(names)) < 2:
        return GroupGap(tuple(accuracies), None, None)
    gap = float(_metric_frame(hits[:, large], names).difference())
    return GroupGap(tuple(accuracies), gap, _by_chance(hits[:, large].mean(0).double().numpy(), names, gap))


def check_groups(groups: Sequence[str]) -> None:
    """Refuse groups of texts that `group_gap` cannot compare, with the same errors, before anything is computed."""
    if importlib.util.find_spec("fairlearn") is None:
        raise ConfigError("Comparing groups needs fairlearn. Install it with: pip install 'fewshot-text[check]'")
    if not 2 <= (n_groups := len(set(groups))) <= _MAX_GROUPS:
        raise TaskError(
            f"Got {n_groups} groups of {len(groups)} texts, expected 2 to {_MAX_GROUPS}. Choose a column whose "
            f"values recur."
        )


def change_effect(
    name: str,
    before: Float[Tensor, "episodes n_texts"],
    after: Float[Tensor, "episodes n_texts"],
    changed: Bool[Tensor, " n_texts"],
    sample: Sample,
) -> ChangeEffect | None:
    """Compare hits on texts with hits on the same texts changed; None if no text is changed."""
    if not changed.any():
        return None
    before, after, sample = before[:, changed].double(), after[:, changed].double(), _of_texts(sample, changed)
    return ChangeEffect(
        name, int(changed.sum()), sample.share(before), sample.share(after), sample.difference(after - before)
    )


def _of_texts(sample: Sample, chosen: Tensor) -> Sample:
    return Sample(sample.drawn, sample.texts[:, chosen], folds=sample.folds)


def _metric_frame(hits: Tensor, groups: Sequence[str]) -> Any:
    from fairlearn.metrics import MetricFrame

    right = hits.flatten().numpy()
    return MetricFrame(
        metrics=lambda expected, predicted: float(np.mean(expected * predicted)),
        y_true=np.ones(len(right)),
        y_pred=right,
        sensitive_features=np.array(list(groups) * len(hits), dtype=object),
    )


def _by_chance(hits: np.ndarray, groups: Sequence[str], gap: float) -> float:
    """Share of random groups, of the same sizes, with a gap as large; the given groups count as one of them."""
    ids = np.unique(np.array(groups, dtype=str), return_inverse=True)[1]
    sizes, random = np.bincount(ids), np.random.default_rng(0)
    n_as_large = 1
    for _ in range(_SHUFFLES):
        means = np.bincount(ids, weights=random.permutation(hits)) / sizes
        n_as_large += means.max() - means.min() >= gap - 1e-12
    return float(n_as_large / (_SHUFFLES + 1))
