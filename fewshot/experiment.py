"""One experiment: encode, meta-train, calibrate, evaluate, compare.  Plain arguments, no Hydra."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from torch.nn.functional import normalize

from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.frozen import EpisodeRequest, draw, frozen_episodes
from fewshot.episodes.noise import corrupt_support
from fewshot.errors import ConfigError, TaskError
from fewshot.evaluation import Evaluation, evaluate, fit_temperature, predict
from fewshot.features import TaskFeatures
from fewshot.learners import LEARNERS, Learner
from fewshot.learners.maml.tokens import token_rows
from fewshot.processes import main_first
from fewshot.randomness import child_generator
from fewshot.resources import shipped
from fewshot.settings import Settings
from fewshot.tasks.task import PARTS, Task
from fewshot.training import (
    EncoderTrainer,
    LoopSettings,
    MetaTrainer,
    TrainedEncoder,
    TrainingFiles,
    TrainingHistory,
    TrainingHome,
)

log = logging.getLogger(__name__)

# Meta-valid episodes: enough that half a point can be seen, few enough that a look takes a tenth of a second.
_VALID_EPISODES, _VALID_ALL_WAY_EPISODES, _VALID_QUERIES = 300, 20, 5
_FEWER = 10  # times fewer where each episode takes an inner loop through the encoder, about a second


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment found.

    Args:
        learner: the meta-trained, calibrated learner.
        evaluation: its scores on the test episodes.
        baselines: name → scores on the same episodes.
        episodes: the test episodes.
        history: the learner's meta-training.
        encoder: what encoded the texts for the learner; the baselines have the published weights.
        encoder_training: the encoder's meta-training, if there was one.
        timings: phase → seconds.
    """

    learner: Learner
    evaluation: Evaluation
    baselines: dict[str, Evaluation]
    episodes: EpisodeBatch
    history: TrainingHistory
    encoder: Encoder
    encoder_training: TrainedEncoder | None = None
    timings: dict[str, float] = field(default_factory=dict)


def run_experiment(
    task: Task,
    encoder: Encoder,
    make_learner: Callable[[int], Learner],
    trainer: MetaTrainer,
    settings: Settings,
    episodes_folder: Path | None = None,
    home: TrainingHome | None = None,
    encoder_trainer: EncoderTrainer | None = None,
) -> ExperimentResult:
    """Meta-train on the train classes, select and calibrate on the valid classes, score on the test classes.

    Args:
        task: the task.
        encoder: its `trainable` says whether it is meta-trained first; then every distinct text is encoded once.
        make_learner: number of features → learner.
        trainer: of the learner.
        settings: the rest.
        episodes_folder: where test episodes that are not shipped are kept; None keeps none.
        home: where trainings keep checkpoints and events; None keeps none.
        encoder_trainer: of the encoder; None is one with the defaults.

    Raises:
        FewshotError: anything that the user can mend.
    """
    home = home or TrainingHome()
    timings: dict[str, float] = {}
    check_task(task, settings)
    test = test_episodes(task, settings, episodes_folder)
    with _timed("encode", timings), main_first():
        published = features = encode_task(task, encoder, settings.label_names)
    learner = make_learner(features.dim)
    encoder_training = None
    if learner.reads == "tokens":
        learner.attach(encoder)
        features = tokenize_task(task, encoder, settings.label_names)
    elif encoder.trainable != "none":
        with _timed("meta_train_encoder", timings):
            trainer_of_encoder = encoder_trainer or EncoderTrainer()
            encoder_training = meta_train_encoder(task, encoder, make_learner, trainer_of_encoder, settings, home)
        with _timed("encode_again", timings), main_first():
            features = encode_task(task, encoder_training.encoder, settings.label_names)
    used = encoder if encoder_training is None else encoder_training.encoder
    with _timed("meta_train", timings):
        files = _files(home, learner, task, used, trainer, settings)
        history = meta_train(learner, task, features, trainer, settings, files)
    with _timed("calibrate", timings):
        calibration = valid_episodes(task, settings)[0]
        few = calibration[: _VALID_EPISODES // _FEWER] if learner.reads == "tokens" else calibration
        calibrate(learner, features, few)
    log.info("Evaluating on %d episodes, %d-way %d-shot, of the test classes", len(test), test.n_way, settings.shots)
    with _timed("evaluate", timings):
        evaluation = evaluate(learner, features, test)
    with _timed("baselines", timings):
        baselines = {}
        for name in settings.baselines:
            baseline = LEARNERS[name](published.dim)
            if encoder_training is not None or not isinstance(learner, type(baseline)):
                files = _files(home, baseline, task, encoder, trainer, settings)
                meta_train(baseline, task, published, trainer, settings, files)
                calibrate(baseline, published, calibration)
                baselines[name] = evaluate(baseline, published, test)
    return ExperimentResult(learner, evaluation, baselines, test, history, used, encoder_training, timings)


def check_task(task: Task, settings: Settings) -> None:
    """Refuse what can be refused before anything slow begins.

    Raises:
        TaskError: label names are asked for, and some say nothing.
        ConfigError: fewer than two test classes.
    """
    nameless = task.nameless_classes()
    if settings.label_names and nameless:
        raise TaskError(
            f"The label {nameless[0]!r} is only a number, so as a label name it says nothing ({len(nameless)} such "
            f'labels). Give names in label_names.json, like {{"{nameless[0]}": "..."}}, or set label_names=false.'
        )
    if len(task.parts["test"]) < 2:
        raise ConfigError(
            f"The task {task.name!r} has {len(task.parts['test'])} test class, but an episode needs two or more. "
            f"Move classes to test in class_splits.json, or add classes."
        )


def test_episodes(task: Task, settings: Settings, kept: Path | None) -> EpisodeBatch:
    """The frozen test episodes, with wrong labels in the support where they are asked for."""
    request = EpisodeRequest(
        "test", settings.ways, settings.shots, settings.queries, settings.episodes, settings.realistic
    )
    folder = shipped("episodes") / task.name
    episodes = frozen_episodes(task, request, folder if folder.is_dir() else None, kept)
    if settings.support_noise:
        generator = child_generator(0, f"noise/{task.name}/{settings.support_noise}")
        episodes = corrupt_support(episodes, settings.support_noise, generator)
    return episodes


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
    shots = max(1, min(settings.shots, smallest - queries))
    ways = min(settings.ways or n_classes, n_classes)
    requests = [EpisodeRequest("valid", ways, shots, queries, _VALID_EPISODES // fewer)]
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


def meta_train_encoder(
    task: Task,
    encoder: Encoder,
    make_learner: Callable[[int], Learner],
    trainer: EncoderTrainer,
    settings: Settings,
    home: TrainingHome | None = None,
) -> TrainedEncoder:
    """Meta-train an encoder with a learner's loss.

    Raises:
        ConfigError: the task has fewer than two train or valid classes.
    """
    classes = {part: len(task.parts[part]) for part in PARTS}
    if min(classes["train"], classes["valid"]) < 2:
        raise ConfigError(
            f"Got encoder.trainable={encoder.trainable}, but the task {task.name!r} has {classes['train']} train and "
            f"{classes['valid']} valid classes; expected two or more of each. Move classes in class_splits.json, or "
            f"set encoder.trainable=none."
        )
    log.info("Meta-training the encoder on %d train classes", classes["train"])
    learner = make_learner(1)
    files = _files(home or TrainingHome(), learner, task, encoder, trainer, settings, of="encoder")
    valid = valid_episodes(task, settings, trainer.valid_texts)
    trained = trainer.fit(encoder, make_learner, task, valid, settings.label_names, settings.seed, files)
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
    valid = valid_episodes(task, settings, fewer=1 if learner.reads == "features" else _FEWER)
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


def _files(
    home: TrainingHome,
    learner: Learner,
    task: Task,
    encoder: Encoder,
    trainer: LoopSettings,
    settings: Settings,
    of: str = "learner",
) -> TrainingFiles | None:
    """Where a training writes, named by all that has a part in its weights."""
    if (of == "learner" and not learner.is_meta_trained) or home == TrainingHome():
        return None
    kind = type(learner).__name__ if of == "learner" else f"{type(learner).__name__}-encoder"
    training = {
        "task": task.sha256,
        "encoder": encoder.fingerprint,
        **({} if of == "learner" else {"trained": encoder.training_settings()}),
        "learner": {"class": kind, **learner.arguments},
        "training": trainer.determining(),
        "label_names": task.label_texts() if settings.label_names else None,
        **{name: getattr(settings, name) for name in ("ways", "shots", "seed")},
    }
    return home.files(f"{task.name}-{kind}", training, settings.resume)


@contextmanager
def _timed(phase: str, timings: dict[str, float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    timings[phase] = time.perf_counter() - started


__all__ = ["ExperimentResult", "encode_task", "run_experiment"]
