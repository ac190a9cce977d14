"""What an experiment looks at before it learns: which episodes, and features or tokens of all texts."""

import logging
from collections.abc import Sequence
from pathlib import Path

from torch.nn.functional import normalize

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.fixed_test import fixed_test_episodes
from fewshot.episodes.frozen import EpisodeRequest, draw, frozen_episodes
from fewshot.episodes.noise import corrupt_support
from fewshot.errors import ConfigError, TaskError
from fewshot.features import TaskFeatures
from fewshot.learners.maml.tokens import token_rows
from fewshot.randomness import child_generator
from fewshot.resources import shipped
from fewshot.settings import Settings
from fewshot.tasks.splits import FEWEST_TO_SPLIT
from fewshot.tasks.task import Task

log = logging.getLogger(__name__)

_VALID_SHOTS = 20  # with more, the looks at them cost most of the time of a meta-training
# Meta-valid episodes: enough that half a point can be seen, few enough that a look takes a tenth of a second.
VALID_EPISODES, _VALID_ALL_WAY_EPISODES, _VALID_QUERIES = 300, 20, 5


def check_task(task: Task, settings: Settings) -> None:
    """Refuse what can be refused before anything slow begins.

    Raises:
        TaskError: label names are asked for, and some say nothing.
        ConfigError: fewer than two test classes, or none to train and to select on.
    """
    nameless = task.nameless_classes()
    if settings.label_names and nameless:
        raise TaskError(
            f"The label {nameless[0]!r} is only a number, so as a label name it says nothing ({len(nameless)} such "
            f'labels). Give names in label_names.json, like {{"{nameless[0]}": "..."}}, or set label_names=false.'
        )
    if settings.classes == "test" and not (task.parts["train"] and task.parts["valid"]):
        raise ConfigError(
            f"The task {task.name!r} has {len(task.classes)} classes, but {FEWEST_TO_SPLIT} are needed for "
            f"classes=test: one to train on, one to select on, two to test on. Set classes=all ways=all, which tells "
            f"all classes apart and is scored on texts that are held out, or add classes."
        )
    if settings.classes == "test" and len(task.parts["test"]) < 2:
        raise ConfigError(
            f"The task {task.name!r} has {len(task.parts['test'])} test class, but an episode needs two or more. "
            f"Move classes to test in class_splits.json, or add classes."
        )


def check_alone(task: Task, settings: Settings, trainable: str, augmentation: SemanticAugmentation | None) -> None:
    """Refuse what takes texts that there are not: train and valid classes where all are scored, texts at 0 shots.

    Raises:
        ConfigError: says what to leave out.
    """
    if settings.shots == 0 and augmentation is not None:
        raise ConfigError("Got shots=0, which leaves no text to make others from. Set augment=none.")
    if settings.classes == "test":
        return
    instead = ", or classes=test" if len(task.classes) >= FEWEST_TO_SPLIT else ""
    if trainable != "none":
        raise ConfigError(
            f"Got trainable={trainable} with classes=all: all classes of {task.name!r} are scored, so "
            f"none is left to meta-train on. Set trainable=none{instead}."
        )
    if augmentation is not None and (augmentation.policy is not None or "meta_training" in augmentation.use):
        raise ConfigError(
            f"Got classes=all with augmentation that goes by train or valid classes, of which {task.name!r} then has "
            f"none. Set augment=semantic or augment=none{instead}."
        )


def check_unseen(task: Task, encoder: Encoder, settings: Settings) -> None:
    """Warn of an encoder whose training has looked at classes that are scored."""
    scored = {task.classes[label] for label in scored_classes(task, settings)}
    weights = encoder.trained
    while weights is not None:
        both = sorted(scored & {*weights.seen.get("classes", ())}) if weights.seen.get("task") == task.name else []
        if both:
            log.warning(
                "The encoder's weights were trained or selected on %d of the classes that are scored, such as %r "
                "(task %s, split %s): these scores are too good. Expected weights that have not seen them. Use the "
                "split that they were trained on, or encoder.weights=null.",
                *(len(both), both[0], weights.seen["task"], weights.seen.get("split")),
            )
        weights = weights.below


def test_episodes(task: Task, settings: Settings, kept: Path | None) -> EpisodeBatch:
    """The frozen test episodes, with wrong labels in the support where they are asked for.

    Args:
        task: the task.
        settings: of the run; with `protocol="fixed_test"` all episodes have one test part.
        kept: where sampled episodes that are not shipped are kept; None keeps none.
    """
    episodes = _fixed_test(task, settings) if settings.protocol == "fixed_test" else _sampled(task, settings, kept)
    if settings.support_noise:
        if not bool(episodes.support_mask.all()):
            raise ConfigError(
                f"Got support_noise={settings.support_noise} where some classes have fewer than {settings.shots} texts "
                f"for the support; noise needs equal sizes. Lower shots, or set support_noise=0."
            )
        generator = child_generator(0, f"noise/{task.name}/{settings.support_noise}")
        episodes = corrupt_support(episodes, settings.support_noise, generator)
    return episodes


def scored_classes(task: Task, settings: Settings) -> Sequence[int]:
    """Ids of the classes that are scored."""
    return task.parts["test"] if settings.classes == "test" else range(len(task.classes))


def _fixed_test(task: Task, settings: Settings) -> EpisodeBatch:
    classes = scored_classes(task, settings)
    supports = 1 if settings.shots == 0 and settings.ways is None else min(settings.supports, settings.episodes)
    return fixed_test_episodes(task, classes, settings.ways, settings.shots, settings.test_texts, supports)


def _sampled(task: Task, settings: Settings, kept: Path | None) -> EpisodeBatch:
    request = EpisodeRequest(
        "test", settings.ways, settings.shots, settings.queries, settings.episodes, settings.realistic
    )
    folder = shipped("episodes") / task.name
    return frozen_episodes(task, request, folder if folder.is_dir() else None, kept)


def valid_episodes(task: Task, settings: Settings, most_texts: int | None = None, fewer: int = 1) -> list[EpisodeBatch]:
    """Episodes of the valid classes: with the ways and shots of the test episodes, and with all classes at once.

    Support sizes are equal and labels right, whatever the test episodes are; shots shrink to what the smallest
    class allows.

    Args:
        task: the task.
        settings: ways and shots.
        most_texts: of each class that episodes are drawn from; None is all.
        fewer: how many times fewer episodes than there are for a learner on cached features.
    """
    pools = task.pools("valid") if most_texts is None else task.pools("valid").thinned(most_texts)
    n_classes, smallest = len(pools.classes), int(pools.sizes.min())
    queries = max(1, min(_VALID_QUERIES, smallest - 1))
    shots = min(settings.shots, max(1, smallest - queries), _VALID_SHOTS)
    ways = min(settings.ways or n_classes, n_classes)
    requests = [EpisodeRequest("valid", ways, shots, queries, VALID_EPISODES // fewer)]
    if ways < n_classes:
        requests.append(EpisodeRequest("valid", None, shots, queries, _VALID_ALL_WAY_EPISODES // fewer))
    return [draw(task, request, pools) for request in requests]


def encode_task(task: Task, encoder: Encoder, label_names: bool) -> TaskFeatures:
    """Features of all texts, and of the label names where they are used."""
    names = task.label_texts() if label_names else []
    log.info("Encoding %s texts with %s", f"{len(task.texts) + len(names):,}", encoder.model)
    features = normalize(encoder.encode([*task.texts, *names]), dim=-1)  # learners go by directions
    n_texts = len(task.texts)
    return TaskFeatures(features[:n_texts], features[n_texts:] if label_names else None)


def tokenize_task(task: Task, encoder: Encoder, label_names: bool) -> TaskFeatures:
    """Token ids of all texts, and of the label names where they are used, for a learner that reads tokens."""
    rows = token_rows(encoder, [*task.texts, *(task.label_texts() if label_names else [])])
    n_texts = len(task.texts)
    return TaskFeatures(rows[:n_texts], rows[n_texts:] if label_names else None)
