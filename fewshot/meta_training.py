"""The meta-training phases of an experiment: the encoder, the learner, its temperature."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from fewshot.encoders import Encoder, Trainable
from fewshot.episodes.batch import EpisodeBatch
from fewshot.errors import ConfigError
from fewshot.evaluation import fit_temperature, predict
from fewshot.features import TaskFeatures
from fewshot.learners import Learner
from fewshot.preparing import valid_episodes
from fewshot.settings import Settings
from fewshot.tasks.task import PARTS, Task
from fewshot.training import (
    EncoderTrainer,
    LoopSettings,
    MetaTrainer,
    TrainedEncoder,
    TrainingFiles,
    TrainingFolders,
    TrainingHistory,
)

log = logging.getLogger(__name__)

FEWER = 10  # times fewer episodes where each takes an inner loop through the encoder, about a second


def meta_train_encoder(
    task: Task,
    encoder: Encoder,
    trainable: Trainable,
    make_learner: Callable[[int], Learner],
    trainer: EncoderTrainer,
    settings: Settings,
    home: TrainingFolders | None = None,
    augmented: Mapping[int, Sequence[str]] | None = None,
) -> TrainedEncoder:
    """Meta-train an encoder with a learner's loss.

    Args:
        task: the task.
        encoder: it is not changed.
        trainable: what is trained of it.
        make_learner: number of features → learner.
        trainer: says how.
        settings: of the run.
        home: where checkpoints and events go; None keeps none.
        augmented: for texts of the train classes what was made of them.

    Raises:
        ConfigError: the task has fewer than two train or valid classes.
    """
    classes = {part: len(task.parts[part]) for part in PARTS}
    if min(classes["train"], classes["valid"]) < 2:
        raise ConfigError(
            f"Got trainable={trainable.kind}, but the task {task.name!r} has {classes['train']} train and "
            f"{classes['valid']} valid classes; expected two or more of each. Move classes in class_splits.json, or "
            f"set trainable=none."
        )
    log.info("Meta-training the encoder on %d train classes", classes["train"])
    learner = make_learner(1)
    home, also = home or TrainingFolders(), None if augmented is None else _digest(augmented)
    files = training_files(home, learner, task, encoder, trainer, settings, trainable, augmented=also)
    # With one shot the space itself decides; with more, the mean of the support hides what is wrong with it.
    one_shot = replace(settings, shots=min(settings.shots, 1), support_noise=0.0)
    valid = valid_episodes(task, one_shot, trainer.valid_texts)
    trained = trainer.fit(
        encoder, trainable, make_learner, task, valid, settings.label_names, settings.seed, files, augmented=augmented
    )
    accuracies = trained.history.valid_accuracies
    log.info(
        "Best of %d steps on %d valid classes: step %d, %.1f %% (%.1f %% before), %.0f %% of the way kept",
        trained.history.steps,
        classes["valid"],
        trained.history.best_step,
        100 * max(accuracies.values(), default=float("nan")),
        100 * accuracies.get(0, float("nan")),
        100 * trained.kept,
    )
    return trained


def meta_train(
    learner: Learner,
    task: Task,
    features: TaskFeatures,
    trainer: MetaTrainer,
    settings: Settings,
    files: TrainingFiles | None = None,
) -> TrainingHistory:
    """Meta-train a learner that has anything to train; others come back as they are."""
    if not learner.is_meta_trained:
        return TrainingHistory()
    classes = {part: len(task.parts[part]) for part in PARTS}
    if min(classes["train"], classes["valid"]) < 2:
        log.warning(
            "%s is used untrained: meta-training needs two train and two valid classes, got %d and %d",
            learner.title,
            classes["train"],
            classes["valid"],
        )
        return TrainingHistory()
    log.info("Meta-training %s on %d train classes", learner.title, classes["train"])
    valid = valid_episodes(task, settings, fewer=1 if learner.reads == "features" else FEWER)
    valid = [episodes for episodes in valid if episodes.n_way == learner.ways] or valid
    history = trainer.fit(learner, features, task.pools("train"), valid, settings.seed, files)
    if not history.steps:
        return history
    log.info(
        "Best of %d steps on %d valid classes: step %d, %.1f %% (%.1f %% before)",
        history.steps,
        classes["valid"],
        history.best_step,
        100 * max(history.valid_accuracies.values(), default=float("nan")),
        100 * history.valid_accuracies.get(0, float("nan")),
    )
    return history


def calibrate(learner: Learner, features: TaskFeatures, episodes: EpisodeBatch) -> None:
    """Fit the learner's temperature on meta-valid episodes; one class alone has nothing to say on it."""
    if episodes.n_way > 1:
        learner.temperature.fill_(fit_temperature(predict(learner, features, episodes), episodes.targets))


def training_files(
    home: TrainingFolders,
    learner: Learner,
    task: Task,
    encoder: Encoder,
    trainer: LoopSettings,
    settings: Settings,
    trainable: Trainable | None = None,
    augmented: Any = None,
) -> TrainingFiles | None:
    """Where a training writes, named by all that has a part in its weights.

    Args:
        home: of all trainings.
        learner: what is trained, or what gives the encoder's loss.
        task: the task.
        encoder: gives the features, or is trained.
        trainer: its settings.
        settings: of the run.
        trainable: what is trained of the encoder; None where the learner is trained.
        augmented: what stands for the new texts that are trained on, as JSON can hold it; None where there are none.

    Returns:
        None where nothing is trained or nothing kept.
    """
    if (trainable is None and not learner.is_meta_trained) or home == TrainingFolders():
        return None
    kind = type(learner).__name__ if trainable is None else f"{type(learner).__name__}-encoder"
    training = {
        "task": task.sha256,
        "encoder": encoder.fingerprint,
        **({"trained": asdict(trainable)} if trainable is not None else {}),
        **({"attached": dict(learner.attached)} if learner.attached else {}),
        "learner": {"class": kind, **learner.arguments},
        "training": trainer.determining(),
        "label_names": task.label_texts() if settings.label_names else None,
        **{name: getattr(settings, name) for name in ("ways", "shots", "seed")},
        **({} if augmented is None else {"augmented": augmented}),
    }
    return home.files(f"{task.name}-{kind}", training, settings.resume)


def _digest(augmented: Mapping[int, Sequence[str]]) -> str:
    content = json.dumps([[place, list(texts)] for place, texts in sorted(augmented.items())])
    return hashlib.sha256(content.encode()).hexdigest()
