"""Meta-training as a phase: the encoder, the learner, the decision on augmentation, the temperature."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fewshot.bank import AdapterChoice
from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation import ClassGain, fit_temperature, predict
from fewshot.experiment.augmentation import AugmentationPhase, AugmentationResult, for_part
from fewshot.experiment.episodes import TaskEncoder, calibration_episodes, valid_episodes
from fewshot.experiment.plan import Plan
from fewshot.experiment.trainings import (
    CALIBRATION,
    best_of,
    calibrate,
    train_encoder,
    train_learner,
    training_files,
)
from fewshot.learners import MAML, Centroid
from fewshot.learners.maml.encoder_maml import EncoderMAML
from fewshot.learners.saving import WRITTEN, load_learner, save_learner
from fewshot.meta_model import MetaModel
from fewshot.tasks.task import PARTS, Task
from fewshot.training import EncoderMAMLTrainer, Store, TrainedEncoder, TrainingHistory
from fewshot.training.encoder_maml_trainer import TaskTokens

log = logging.getLogger(__name__)

FEWER = 10  # times fewer episodes if each takes an inner loop through the encoder, about a second


@dataclass(frozen=True)
class MetaTrained:
    """A meta-model and its trainings.

    Args:
        model: the meta-model.
        history: of the learner's training.
        encoder_training: of the encoder's, if there was one.
        augmentation: of the texts so far, if the recipe has one.
        timings: phase → seconds.
    """

    model: MetaModel
    history: TrainingHistory
    encoder_training: TrainedEncoder | None = None
    augmentation: AugmentationResult | None = None
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def trainings(self) -> dict[str, TrainingHistory]:
        """The history of each training that took steps: `encoder`, `learner`."""
        histories = {"encoder": self.encoder_training and self.encoder_training.history, "learner": self.history}
        return {name: history for name, history in histories.items() if history and history.steps}


@contextmanager
def timed(timings: dict[str, float], phase: str) -> Iterator[None]:
    """Add the time of a block to its phase."""
    started = time.perf_counter()
    yield
    timings[phase] = timings.get(phase, 0.0) + time.perf_counter() - started


def meta_train(task: Task, plan: Plan, store: Store | None = None, encoded: TaskEncoder | None = None) -> MetaTrained:
    """Train on the train classes, select and calibrate on the valid classes; test classes are not used.

    Args:
        task: the task.
        plan: the plan of a recipe for this task.
        store: for checkpoints and events; None keeps none.
        encoded: features of the task; None computes them.

    Raises:
        ConfigError: the task has fewer than two train or valid classes, and the encoder is to be trained on them.
    """
    if plan.protocol.classes == "all":
        log.info("All classes are scored, so none is there to meta-train or to calibrate on")
    if isinstance(plan.trainer, EncoderMAMLTrainer):
        return _through_encoder(task, plan, plan.trainer, store or Store())
    store, timings, protocol = store or Store(), dict[str, float](), plan.protocol
    encoded = encoded or TaskEncoder(task, protocol.label_names)
    encoder, given = plan.encoder, plan.augmentation
    result = None if given is None else AugmentationResult(given, given if "support" in given.use else None)
    with timed(timings, "encode"):
        features = encoded(encoder)
    trained = None
    if plan.trainable is not None:
        with timed(timings, "meta_train_encoder"):
            trained = train_encoder(task, plan, store)
        with timed(timings, "encode_again"):
            trained = _kept_if_sure(trained, task, plan, encoded)
            encoder, features = trained.encoder, encoded(trained.encoder)
    learner = plan.learner(features.dim)
    phase = AugmentationPhase(task, protocol, encoder, features, plan.max_shots)
    training, new_digest = features, None
    if given is not None and result is not None and result.meta_training and learner.is_meta_trained:
        with timed(timings, "augment"):
            new = phase.train_texts(given)
            result, training = result.with_new_texts(new), phase.beside(new, given)
        new_digest = {"texts": new.bank.sha256(), "weight": given.weight, "margin": given.margin}
    with timed(timings, "meta_train"):
        history = train_learner(learner, task, plan, encoder, training, store, new_digest)
    valid = None if protocol.classes == "all" else calibration_episodes(task, protocol)
    if result is not None and valid is not None:
        with timed(timings, "augment"):
            if result.asked.policy is not None:
                result = phase.decide(result.asked, learner, valid)
            if result.support is not None:
                valid = phase.valid_episodes(result.asked, valid, len(valid), CALIBRATION)
                features, new = phase.support(for_part(result.support, task, protocol, "valid"), "valid", valid)
                result = result.with_new_texts(new)
    if valid is not None:
        with timed(timings, "calibrate"):
            calibrate(learner, features, valid)
    support = None if result is None else result.support
    augmentation = None if support is None else for_part(support, task, protocol, "test")
    adapters = AdapterChoice.of(encoder) if plan.chooses_adapter else None
    model = MetaModel(encoder, learner, augmentation, plan.final_stage, adapters)
    return MetaTrained(model, history, trained, result, timings)


def _kept_if_sure(trained: TrainedEncoder, task: Task, plan: Plan, encoded: TaskEncoder) -> TrainedEncoder:
    """The trained encoder if it surely helps the nearest centroid on valid episodes, else the published one."""
    if not trained.kept:
        return trained
    valid, before, after = valid_episodes(task, plan.protocol), encoded(plan.encoder), encoded(trained.encoder)
    plain = Centroid(before.dim)
    new, old = ([predict(plain, features, episodes) for episodes in valid] for features in (after, before))
    gain = ClassGain.of(new, old, valid)
    log.info(
        f"Nearest centroid with the trained encoder: {gain}; {'kept' if gain.is_sure else 'not sure, so not kept'}"
    )
    return trained if gain.is_sure else replace(trained, encoder=plan.encoder, kept=0.0)


def _through_encoder(task: Task, plan: Plan, trainer: EncoderMAMLTrainer, store: Store) -> MetaTrained:
    """Meta-train MAML through the encoder, and calibrate it."""
    timings, protocol, learner = dict[str, float](), plan.protocol, plan.learner(1)
    assert isinstance(learner, MAML)
    trainable = plan.trainable
    assert trainable is not None
    classes, valid = {part: len(task.parts[part]) for part in PARTS}, list[EpisodeBatch]()
    if protocol.classes == "test" and min(classes["train"], classes["valid"]) > 1:
        valid = valid_episodes(task, protocol, fewer=FEWER)
        log.info(f"Meta-training {EncoderMAML.title} on {classes['train']} train classes")
    with timed(timings, "meta_train"):
        files = training_files(store, learner, task, plan.encoder, trainer, protocol, trainable)
        trained, history = files.finished.once(
            EncoderMAML.title,
            lambda: trainer.fit(
                encoder=plan.encoder,
                trainable=trainable,
                settings=learner.settings,
                task=task,
                valid=valid,
                label_names=protocol.label_names,
                seed=protocol.seed,
                files=files,
            ),
            _save,
            lambda folder, description: _load(folder, description, plan.encoder),
            WRITTEN,
        )
    if history.steps:
        log.info(best_of(history, classes["valid"]))
    if valid and valid[0].n_way > 1:
        with timed(timings, "calibrate"):
            others = valid_episodes(task, protocol, fewer=FEWER, purpose=CALIBRATION)[0]
            logits = TaskTokens.of(task, plan.encoder, protocol.label_names).logits(trained, others)
            trained.temperature.fill_(fit_temperature(logits, others.targets))
    return MetaTrained(MetaModel(plan.encoder, trained), history, timings=timings)


def _save(result: tuple[EncoderMAML, TrainingHistory], folder: Path) -> dict[str, Any]:
    save_learner(result[0], folder)
    return result[1].described()


def _load(folder: Path, description: Mapping[str, Any], encoder: Encoder) -> tuple[EncoderMAML, TrainingHistory]:
    learner = load_learner(folder, encoder)
    assert isinstance(learner, EncoderMAML)
    return learner, TrainingHistory.from_described(description)
