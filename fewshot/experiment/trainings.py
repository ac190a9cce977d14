"""The trainings of an experiment: of the encoder, of a learner, and of its temperature."""

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fewshot.encoders import Encoder, Trainable
from fewshot.encoders.precision import resolve_device
from fewshot.encoders.trained import WRITTEN as TRAINED_FILES
from fewshot.episodes.batch import EpisodeBatch
from fewshot.errors import ConfigError
from fewshot.evaluation import ClassGain, fit_temperature, predict
from fewshot.experiment.episodes import calibration_episodes, valid_episodes
from fewshot.experiment.plan import Plan
from fewshot.experiment.protocol import Protocol
from fewshot.features import TaskFeatures
from fewshot.learners import Learner
from fewshot.storage import read_tensors, write_tensors
from fewshot.tasks.task import PARTS, Task
from fewshot.training import (
    EncoderMAMLTrainer,
    LoopSettings,
    MetaTrainer,
    Store,
    TrainedEncoder,
    TrainingFiles,
    TrainingHistory,
)

log = logging.getLogger(__name__)

CALIBRATION = "calibration"  # purpose of episodes
_LEARNER = "learner.safetensors"


def train_encoder(task: Task, plan: Plan, store: Store) -> TrainedEncoder:
    """Meta-train the encoder with the learner's loss.

    Raises:
        ConfigError: the task has fewer than two train or valid classes.
    """
    trainer, protocol, trainable = plan.encoder_trainer, plan.protocol, plan.trainable
    assert trainable is not None
    classes = {part: len(task.parts[part]) for part in PARTS}
    if min(classes["train"], classes["valid"]) < 2:
        raise ConfigError(
            f"Got trainable={trainable.kind}, but the task {task.name!r} has {classes['train']} train and "
            f"{classes['valid']} valid classes; expected two or more of each. Move classes in class_splits.json, or "
            f"set trainable=none."
        )
    files = training_files(store, plan.learner(1), task, plan.encoder, trainer, protocol, trainable)

    def train() -> TrainedEncoder:
        log.info(f"Meta-training the encoder on {classes['train']} train classes")
        # One shot measures the space itself; with more, the mean over the support hides its errors.
        one_shot = replace(protocol, shots=min(protocol.shots, 1), support_noise=0.0)
        return trainer.fit(
            encoder=plan.encoder,
            trainable=trainable,
            make_learner=plan.learner,
            task=task,
            valid=valid_episodes(task, one_shot, trainer.valid_texts),
            label_names=protocol.label_names,
            seed=protocol.seed,
            files=files,
        )

    trained = files.finished.once(
        "The encoder",
        train,
        TrainedEncoder.save,
        lambda folder, description: TrainedEncoder.load(folder, description, plan.encoder, trainable),
        TRAINED_FILES,
    )
    log.info(f"{best_of(trained.history, classes['valid'])}, {100 * trained.kept:.0f} % of the way kept")
    return trained


def train_learner(
    learner: Learner,
    task: Task,
    plan: Plan,
    encoder: Encoder,
    features: TaskFeatures,
    store: Store,
    new_texts: Any = None,
) -> TrainingHistory:
    """Meta-train a learner in place, if it has parameters to train.

    The features, which `encoder` gave, may have new texts of the train classes beside them; `new_texts` is then JSON
    that stands for these.
    """
    if plan.protocol.classes == "all" or not learner.is_meta_trained:
        return TrainingHistory()
    classes = {part: len(task.parts[part]) for part in PARTS}
    if min(classes["train"], classes["valid"]) < 2:
        log.warning(
            f"{learner.title} is used untrained: meta-training needs two train and two valid classes, got "
            f"{classes['train']} and {classes['valid']}"
        )
        return TrainingHistory()
    # Beside a training through the encoder, other learners are trained with the default settings.
    trainer = MetaTrainer() if isinstance(plan.trainer, EncoderMAMLTrainer) else plan.trainer
    files = training_files(store, learner, task, encoder, trainer, plan.protocol, new_texts=new_texts)

    def train() -> TrainingHistory:
        log.info(f"Meta-training {learner.title} on {classes['train']} train classes")
        valid = valid_episodes(task, plan.protocol)
        valid = [episodes for episodes in valid if episodes.n_way == learner.ways] or valid
        plain = copy.deepcopy(learner)
        sources = list(task.source_pools("train").values())
        history = trainer.fit(learner, features, sources, valid, plan.protocol.seed, files)
        if history.steps:
            log.info(best_of(history, classes["valid"]))
            _keep_sure_gain(learner, plain, features, task, valid)
        return history

    def save(history: TrainingHistory, folder: Path) -> dict[str, Any]:
        write_tensors(folder / _LEARNER, learner.state_dict())
        return history.described()

    def load(folder: Path, description: Mapping[str, Any]) -> TrainingHistory:
        learner.load_state_dict(read_tensors(folder / _LEARNER)[0])
        return TrainingHistory.from_described(description)

    return files.finished.once(learner.title, train, save, load, (_LEARNER,))


def _keep_sure_gain(
    learner: Learner, plain: Learner, features: TaskFeatures, task: Task, valid: Sequence[EpisodeBatch]
) -> None:
    """Keep the trained form if its gain on the plain one is sure, else the centred one if its gain is, else the plain.

    Training selects its best step on the valid classes, so that its score on a few classes is too good by chance.
    """
    centred = copy.deepcopy(plain)
    centred.prepare(features.class_means(task.pools("train")))
    scores = [predict(plain, features, batch) for batch in valid]
    for name, form in {"trained": learner, "centred on the train classes": centred}.items():
        gain = ClassGain.of([predict(form, features, batch) for batch in valid], scores, valid)
        log.info(f"{learner.title}, {name}: {gain}; {'kept' if gain.is_sure else 'not sure, so not kept'}")
        if gain.is_sure:
            learner.load_state_dict(form.state_dict())
            return
    learner.load_state_dict(plain.state_dict())


def trained_learner(
    make_learner: Callable[[int], Learner],
    task: Task,
    plan: Plan,
    encoder: Encoder,
    features: TaskFeatures,
    store: Store,
) -> Learner:
    """A new learner on features without new texts, trained and calibrated."""
    learner = make_learner(features.dim)
    train_learner(learner, task, plan, encoder, features, store)
    return recalibrated(learner, task, plan, features)


def recalibrated(learner: Learner, task: Task, plan: Plan, features: TaskFeatures) -> Learner:
    """A copy of a learner with the temperature for features without new texts."""
    learner = copy.deepcopy(learner)
    if plan.protocol.classes == "test":
        calibrate(learner, features, calibration_episodes(task, plan.protocol))
    return learner


def calibrate(learner: Learner, features: TaskFeatures, episodes: EpisodeBatch) -> None:
    """Fit the learner's temperature on meta-valid episodes; with a single class it stays."""
    if episodes.n_way > 1:
        learner.temperature.fill_(fit_temperature(predict(learner, features, episodes), episodes.targets))


def best_of(history: TrainingHistory, n_classes: int) -> str:
    """The best evaluation of a training, for a person to read."""
    best = 100 * max(history.valid_accuracies.values(), default=float("nan"))
    before = 100 * history.valid_accuracies.get(0, float("nan"))
    return (
        f"Best of {history.steps} steps on {n_classes} valid classes: step {history.best_step}, {best:.1f} % "
        f"({before:.1f} % before)"
    )


def training_files(
    store: Store,
    learner: Learner,
    task: Task,
    encoder: Encoder,
    trainer: LoopSettings,
    protocol: Protocol,
    trainable: Trainable | None = None,
    new_texts: Any = None,
) -> TrainingFiles:
    """The files of a training of the learner, or with `trainable` of the encoder, named by its settings."""
    if not store.keeps_trainings:
        return TrainingFiles()
    kind = type(learner).__name__ if trainable is None else f"{type(learner).__name__}-encoder"
    determining = {
        "task": task.sha256,
        "encoder": encoder.fingerprint,
        "device": resolve_device(encoder.device).type,
        **({} if trainable is None else {"trained": asdict(trainable)}),
        "learner": {"class": kind, **learner.arguments},
        "training": trainer.determining(),
        "label_names": task.label_texts() if protocol.label_names else None,
        **{name: getattr(protocol, name) for name in ("ways", "shots", "seed")},
        **({} if new_texts is None else {"augmented": new_texts}),
    }
    files = store.files(f"{task.name}-{kind}", determining)
    # TensorBoard's events come from the steps of a training, so a finished one is repeated.
    return replace(files, finished=replace(files.finished, reuse=False)) if trainer.tensorboard else files
