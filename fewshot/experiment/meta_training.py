"""Meta-training: the encoder, the learner, the decision on augmentation, the temperature."""

import copy
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fewshot.encoders import Encoder, Trainable
from fewshot.episodes.batch import EpisodeBatch
from fewshot.errors import ConfigError
from fewshot.evaluation import fit_temperature, predict
from fewshot.experiment.augmentation import (
    AugmentationResult,
    augmented_support,
    beside,
    decided,
    few_text_episodes,
    for_part,
    train_texts,
)
from fewshot.experiment.episodes import TaskEncoder, valid_episodes
from fewshot.experiment.plan import Plan
from fewshot.experiment.protocol import Protocol
from fewshot.features import TaskFeatures
from fewshot.learners import MAML, Learner
from fewshot.learners.maml.encoder_maml import EncoderMAML
from fewshot.meta_model import MetaModel
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
from fewshot.training.encoder_maml_trainer import TaskTokens

log = logging.getLogger(__name__)

FEWER = 10  # times fewer episodes where each takes an inner loop through the encoder, about a second


@dataclass(frozen=True)
class MetaTrained:
    """A meta-model and how it came about.

    Args:
        model: the meta-model.
        history: of the learner's training.
        encoder_training: of the encoder's, if there was one.
        augmentation: what augmentation came to so far, if it was asked for.
        timings: phase → seconds.
    """

    model: MetaModel
    history: TrainingHistory
    encoder_training: TrainedEncoder | None = None
    augmentation: AugmentationResult | None = None
    timings: Mapping[str, float] = field(default_factory=dict)


@contextmanager
def timed(timings: dict[str, float], phase: str) -> Iterator[None]:
    """Add the time of a block to its phase."""
    started = time.perf_counter()
    yield
    timings[phase] = timings.get(phase, 0.0) + time.perf_counter() - started


def meta_train(task: Task, plan: Plan, store: Store | None = None, encoded: TaskEncoder | None = None) -> MetaTrained:
    """Train on the train classes, select and calibrate on the valid classes; test classes have no part in it.

    Args:
        task: the task.
        plan: a recipe as this task calls for it.
        store: where trainings keep checkpoints and events; None keeps none.
        encoded: features that are computed already; None computes them.

    Raises:
        ConfigError: the task has fewer than two train or valid classes, and the encoder is to be trained on them.
    """
    if plan.protocol.classes == "all":
        log.info("All classes are scored, so none is there to meta-train or to calibrate on")
    if isinstance(plan.trainer, EncoderMAMLTrainer):
        return _through_encoder(task, plan, plan.trainer, store or Store())
    store, timings = store or Store(), dict[str, float]()
    encoded = encoded or TaskEncoder(task, plan.protocol.label_names)
    encoder, asked = plan.encoder, plan.augmentation
    trains_on_new = asked is not None and "meta_training" in asked.use
    result = None if asked is None else AugmentationResult(asked, asked if "support" in asked.use else None)
    with timed(timings, "encode"):
        features = encoded(encoder)
    trained = None
    if plan.trainable is not None:
        new_texts = None
        if asked is not None and trains_on_new:
            with timed(timings, "augment"):
                new_texts = train_texts(asked, task, plan.protocol, encoder).by_text()
        with timed(timings, "meta_train_encoder"):
            trained = train_encoder(task, plan, store, new_texts)
        encoder = trained.encoder
        with timed(timings, "encode_again"):
            features = encoded(encoder)
    learner = plan.learner(features.dim)
    training, new_digest = features, None
    if asked is not None and result is not None and trains_on_new and learner.is_meta_trained:
        with timed(timings, "augment"):
            new = train_texts(asked, task, plan.protocol, encoder)
            result, training = result.with_new_texts(new), beside(features, new, asked)
        settings = {name: getattr(asked, name) for name in ("weight", "margin", "merge")}
        new_digest = {"texts": new.bank.sha256(), **settings}
    with timed(timings, "meta_train"):
        history = train_learner(learner, task, plan, encoder, training, store, new_digest)
    valid = None if plan.protocol.classes == "all" else valid_episodes(task, plan.protocol)[0]
    if result is not None and valid is not None:
        with timed(timings, "augment"):
            if result.asked.policy is not None:
                result = decided(result.asked, task, plan.protocol, plan.max_shots, learner, features, encoder, valid)
            if result.support is not None:
                how = for_part(result.support, task, plan.protocol, "valid")
                valid = few_text_episodes(result.asked, task, valid, len(valid))
                features, new = augmented_support(how, task, "valid", features, encoder, valid, plan.max_shots)
                result = result.with_new_texts(new)
    if valid is not None:
        with timed(timings, "calibrate"):
            calibrate(learner, features, valid)
    support = None if result is None or result.support is None else result.support
    augmentation = None if support is None else for_part(support, task, plan.protocol, "test")
    model = MetaModel(encoder, learner, augmentation, plan.final_stage)
    return MetaTrained(model, history, trained, result, timings)


def _through_encoder(task: Task, plan: Plan, trainer: EncoderMAMLTrainer, store: Store) -> MetaTrained:
    """Meta-train MAML through the encoder, and calibrate it."""
    timings, protocol, learner = dict[str, float](), plan.protocol, plan.learner(1)
    assert isinstance(learner, MAML)
    assert plan.trainable is not None
    classes, valid = {part: len(task.parts[part]) for part in PARTS}, list[EpisodeBatch]()
    if protocol.classes == "test" and min(classes["train"], classes["valid"]) > 1:
        valid = valid_episodes(task, protocol, fewer=FEWER)
        log.info(f"Meta-training {EncoderMAML.title} on {classes['train']} train classes")
    with timed(timings, "meta_train"):
        files = _files(store, learner, task, plan.encoder, trainer, protocol, plan.trainable)
        trained, history = trainer.fit(
            encoder=plan.encoder,
            trainable=plan.trainable,
            settings=learner.settings,
            task=task,
            valid=valid,
            label_names=protocol.label_names,
            seed=protocol.seed,
            files=files,
        )
    if history.steps:
        log.info(_best(history, classes["valid"]))
    if valid and valid[0].n_way > 1:
        with timed(timings, "calibrate"):
            logits = TaskTokens.of(task, plan.encoder, protocol.label_names).logits(trained, valid[0])
            trained.temperature.fill_(fit_temperature(logits, valid[0].targets))
    return MetaTrained(MetaModel(plan.encoder, trained), history, timings=timings)


def train_encoder(
    task: Task, plan: Plan, store: Store, new_texts: Mapping[int, Sequence[str]] | None = None
) -> TrainedEncoder:
    """Meta-train the encoder with the learner's loss.

    Args:
        task: the task.
        plan: what is trained and how.
        store: where checkpoints and events go.
        new_texts: index of a text of the train classes → new texts that were made of it.

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
    log.info(f"Meta-training the encoder on {classes['train']} train classes")
    digest = None if new_texts is None else _digest(new_texts)
    files = _files(store, plan.learner(1), task, plan.encoder, trainer, protocol, trainable, digest)
    # With one shot the space itself decides; with more, the mean of the support hides what is wrong with it.
    one_shot = replace(protocol, shots=min(protocol.shots, 1), support_noise=0.0)
    valid = valid_episodes(task, one_shot, trainer.valid_texts)
    trained = trainer.fit(
        encoder=plan.encoder,
        trainable=trainable,
        make_learner=plan.learner,
        task=task,
        valid=valid,
        label_names=protocol.label_names,
        seed=protocol.seed,
        files=files,
        augmented=new_texts,
    )
    log.info(f"{_best(trained.history, classes['valid'])}, {100 * trained.kept:.0f} % of the way kept")
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
    """Meta-train a learner in place, if it has anything to train.

    Args:
        learner: the learner.
        task: the task.
        plan: how it is trained.
        encoder: which gave the features.
        features: of the task, new texts of the train classes beside them.
        store: where checkpoints and events go.
        new_texts: what stands for these new texts, as JSON can hold it; None where there are none.
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
    log.info(f"Meta-training {learner.title} on {classes['train']} train classes")
    # Beside a training through the encoder, other learners are trained as by default.
    trainer = MetaTrainer() if isinstance(plan.trainer, EncoderMAMLTrainer) else plan.trainer
    valid = valid_episodes(task, plan.protocol)
    valid = [episodes for episodes in valid if episodes.n_way == learner.ways] or valid
    files = _files(store, learner, task, encoder, trainer, plan.protocol, new_texts=new_texts)
    history = trainer.fit(learner, features, task.pools("train"), valid, plan.protocol.seed, files)
    if history.steps:
        log.info(_best(history, classes["valid"]))
    return history


def trained_learner(
    make_learner: Callable[[int], Learner],
    task: Task,
    plan: Plan,
    encoder: Encoder,
    features: TaskFeatures,
    store: Store,
) -> Learner:
    """A learner of its own on features without new texts, trained and calibrated as by itself."""
    learner = make_learner(features.dim)
    train_learner(learner, task, plan, encoder, features, store)
    return recalibrated(learner, task, plan, features)


def recalibrated(learner: Learner, task: Task, plan: Plan, features: TaskFeatures) -> Learner:
    """A copy of a learner with the temperature for features without new texts."""
    learner = copy.deepcopy(learner)
    if plan.protocol.classes == "test":
        calibrate(learner, features, valid_episodes(task, plan.protocol)[0])
    return learner


def calibrate(learner: Learner, features: TaskFeatures, episodes: EpisodeBatch) -> None:
    """Fit the learner's temperature on meta-valid episodes; one class alone has nothing to say on it."""
    if episodes.n_way > 1:
        learner.temperature.fill_(fit_temperature(predict(learner, features, episodes), episodes.targets))


def _best(history: TrainingHistory, n_classes: int) -> str:
    best = 100 * max(history.valid_accuracies.values(), default=float("nan"))
    before = 100 * history.valid_accuracies.get(0, float("nan"))
    return (
        f"Best of {history.steps} steps on {n_classes} valid classes: step {history.best_step}, {best:.1f} % "
        f"({before:.1f} % before)"
    )


def _files(
    store: Store,
    learner: Learner,
    task: Task,
    encoder: Encoder,
    trainer: LoopSettings,
    protocol: Protocol,
    trainable: Trainable | None = None,
    new_texts: Any = None,
) -> TrainingFiles | None:
    """Where a training writes, named by all that has a part in its weights.

    Args:
        store: of all trainings.
        learner: what is trained, or what gives the encoder's loss.
        task: the task.
        encoder: gives the features, or is trained.
        trainer: its settings.
        protocol: of the experiment.
        trainable: which part of the encoder is trained; None where the learner is.
        new_texts: what stands for the new texts that are trained on, as JSON can hold it; None where there are none.
    """
    if not store.keeps_trainings:
        return None
    kind = type(learner).__name__ if trainable is None else f"{type(learner).__name__}-encoder"
    determining = {
        "task": task.sha256,
        "encoder": encoder.fingerprint,
        **({} if trainable is None else {"trained": asdict(trainable)}),
        "learner": {"class": kind, **learner.arguments},
        "training": trainer.determining(),
        "label_names": task.label_texts() if protocol.label_names else None,
        **{name: getattr(protocol, name) for name in ("ways", "shots", "seed")},
        **({} if new_texts is None else {"augmented": new_texts}),
    }
    return store.files(f"{task.name}-{kind}", determining)


def _digest(new_texts: Mapping[int, Sequence[str]]) -> str:
    content = json.dumps([[place, list(texts)] for place, texts in sorted(new_texts.items())])
    return hashlib.sha256(content.encode()).hexdigest()
