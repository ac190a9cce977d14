"""Checks of an experiment's settings, before anything slow begins."""

import logging

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.encoders import Encoder, Trainable
from fewshot.errors import ConfigError, TaskError
from fewshot.experiment.episodes import scored_classes
from fewshot.experiment.protocol import Protocol
from fewshot.tasks.splits import FEWEST_TO_SPLIT
from fewshot.tasks.task import Task

log = logging.getLogger(__name__)


def check_task(task: Task, protocol: Protocol) -> None:
    """Refuse a task that the protocol cannot score.

    Raises:
        TaskError: label names are asked for, and some say nothing.
        ConfigError: fewer than two test classes, or none to train and to select on; a collection, without test episodes
            of each source.
    """
    if len(task.sources) > 1 and (protocol.classes, protocol.protocol) not in (("test", "auto"), ("test", "sampled")):
        raise ConfigError(
            f"Got classes={protocol.classes} and protocol={protocol.protocol} for a collection of "
            f"{len(task.sources)} tasks, expected episodes of the test classes of each. Set classes=test and "
            f"protocol=sampled, or name one task."
        )
    nameless = task.nameless_classes()
    if protocol.label_names and nameless:
        raise TaskError(
            f"The label {nameless[0]!r} has no words, so as a label name it says nothing ({len(nameless)} such "
            f'labels). Give names in label_names.json, like {{"{nameless[0]}": "..."}}, or set label_names=false.'
        )
    if protocol.classes == "test" and not (task.parts["train"] and task.parts["valid"]):
        raise ConfigError(
            f"The task {task.name!r} has {len(task.classes)} classes, but {FEWEST_TO_SPLIT} are needed for "
            f"classes=test: one to train on, one to select on, two to test on. Set classes=all, which tells all "
            f"classes apart and is scored on texts that are held out, or add classes."
        )
    if protocol.classes == "test" and len(task.parts["test"]) < 2:
        raise ConfigError(
            f"The task {task.name!r} has {len(task.parts['test'])} test class, but an episode needs two or more. "
            f"Move classes to test in class_splits.json, or add classes."
        )


def check_all_scored(
    task: Task, protocol: Protocol, trainable: Trainable | None, augmentation: SemanticAugmentation | None
) -> None:
    """Refuse settings that need train or valid classes if all classes are scored, and new texts without shots.

    Raises:
        ConfigError: says what to leave out.
    """
    if protocol.shots == 0 and augmentation is not None:
        raise ConfigError("Got shots=0, which leaves no text to make others from. Set augment=none.")
    if protocol.classes == "test":
        return
    instead = ", or classes=test" if len(task.classes) >= FEWEST_TO_SPLIT else ""
    if trainable is not None:
        raise ConfigError(
            f"Got trainable={trainable.kind} with classes=all: all classes of {task.name!r} are scored, so "
            f"none is left to meta-train on. Set trainable=none{instead}."
        )
    if augmentation is not None and (augmentation.policy is not None or "meta_training" in augmentation.use):
        raise ConfigError(
            f"Got classes=all with augmentation that goes by train or valid classes, of which {task.name!r} then has "
            f"none. Set augment=semantic or augment=none{instead}."
        )


def check_augmentation(augmentation: SemanticAugmentation, task: Task, shots: int, through_encoder: bool) -> None:
    """Refuse augmentation that has no room, no classes to decide on, or an inner loop through the encoder.

    Raises:
        ConfigError: says what to leave out.
    """
    augmentation.max_new(shots)
    if augmentation.policy is not None and len(task.parts["valid"]) < 2:
        raise ConfigError(
            f"Got augment.policy, but the task {task.name!r} has {len(task.parts['valid'])} valid class to decide on, "
            f"expected two or more. Set augment=semantic or none, or move classes in class_splits.json."
        )
    if through_encoder:
        raise ConfigError(
            "Got augmentation with training=through_encoder, whose inner loop reads texts and no features. Set "
            "augment=none, or training=episodic."
        )


def warn_of_seen_classes(task: Task, encoder: Encoder, protocol: Protocol) -> None:
    """Warn of an encoder whose training has seen texts or label names that are scored, whatever the task's name."""
    scored = task.digests(scored_classes(task, protocol))
    weights = encoder.trained
    while weights is not None:
        if n_seen := weights.count_seen(scored):
            log.warning(
                f"The encoder's weights were trained or selected on {n_seen} of the {len(scored)} texts and label "
                f"names that are scored (task {weights.seen.get('task')}, split {weights.seen.get('split')}): these "
                f"scores are too good. Expected weights that have not seen them. Use the split that they were trained "
                f"on, or encoder.weights=null."
            )
        weights = weights.below
