"""Robustness: the accuracy of classifiers on texts changed without a change of meaning."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fewshot.augment.changes import CHANGES
from fewshot.episodes.cross_validation import FOLDS
from fewshot.errors import ConfigError
from fewshot.evaluation.gaps import ChangeEffect, change_effect
from fewshot.evaluation.intervals import Sample
from fewshot.experiment.episodes import TaskEncoder
from fewshot.experiment.evaluating import score, score_each
from fewshot.experiment.result import ExperimentResult
from fewshot.tasks.task import Task


def robustness(result: ExperimentResult, task: Task, seed: int = 0) -> list[ChangeEffect]:
    """Score the first repeat of a cross-validation on changed versions of the held-out texts.

    Args:
        result: of `run_experiment`, by cross-validation.
        task: its task.
        seed: of the changes.

    Raises:
        ConfigError: the result is of another protocol.
    """
    plan = result.plan
    if plan.drawn != "cross_validation":
        raise ConfigError(f"Got a result of protocol {plan.drawn!r}, expected a cross-validation. Run with ways=None.")
    versions = [task.texts, *(tuple(change(task.texts, seed)) for change in CHANGES.values())]
    n_texts, n_versions = len(task.texts), len(versions)
    wider = replace(
        task,
        texts=tuple(text for version in versions for text in version),
        labels=task.labels.repeat(n_versions),
        synonyms=(),
    )
    folds = result.episodes[:FOLDS]
    queries = torch.stack([folds.query + number * n_texts for number in range(n_versions)], 2)  # [e, way, version, q]
    queries = queries.masked_fill(folds.query[:, :, None] < 0, -1)
    episodes = replace(folds, query=queries.flatten(2))
    if plan.final_stage is None:
        scored = score(result.model, wider, episodes, plan, TaskEncoder(wider, plan.protocol.label_names))
    else:
        scored = score_each(result.model, wider, episodes, plan)
    logits = scored.evaluation.logits
    hits = logits.argmax(-1) == episodes.targets[: len(logits)]
    of_version = hits.double().unflatten(1, queries.shape[1:]).transpose(2, 1).flatten(2)
    query = folds.query[: len(logits)].flatten(1)
    tested = query[query >= 0]
    order = tested.argsort()
    rows = [of_version[:, number][query >= 0][order][None] for number in range(n_versions)]
    sample = Sample("cross_validation", tested[order][None], folds=FOLDS)
    texts = [[version[index] for index in tested[order].tolist()] for version in versions]
    return _effects(texts, rows, sample)


def robustness_of(
    answers: Callable[[list[str]], Sequence[str]], texts: Sequence[str], labels: Sequence[str], seed: int = 0
) -> list[ChangeEffect]:
    """Score a fitted classifier on changed texts.

    Args:
        answers: texts → labels, such as `predict` of a classifier.
        texts, labels: not those that it was fitted on.
        seed: of the changes.

    Example:
        >>> effects = robustness_of(lambda texts: ["loud" if text.isupper() else "low" for text in texts], ["hi", "ho"],
        ...     ["low", "low"])
        >>> {effect.name: effect.difference.mean for effect in effects}["capitals"]
        -1.0
    """
    versions = [list(texts), *(change(texts, seed) for change in CHANGES.values())]
    rows = [
        torch.tensor([[label == answer for label, answer in zip(labels, answers(version), strict=True)]]).double()
        for version in versions
    ]
    return _effects(versions, rows, Sample("fixed_test", torch.arange(len(texts))[None]))


def _effects(versions: Sequence[Sequence[str]], rows: Sequence[Tensor], sample: Sample) -> list[ChangeEffect]:
    """The effect of each change, from the texts and the hits on them: first unchanged, then by each change."""
    effects = []
    for name, version, after in zip(CHANGES, versions[1:], rows[1:], strict=True):
        changed = torch.tensor([new != old for new, old in zip(version, versions[0], strict=True)])
        effects.append(change_effect(name, rows[0], after, changed, sample))
    return [effect for effect in effects if effect is not None]
