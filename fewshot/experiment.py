"""One experiment: encode, meta-train, augment, calibrate, evaluate, compare.  Plain arguments, no Hydra."""

import copy
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.stage import AugmentationStage
from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation import Evaluation, evaluate
from fewshot.features import TaskFeatures
from fewshot.learners import LEARNERS, Learner
from fewshot.meta_training import FEWER, calibrate, meta_train, meta_train_encoder, training_files
from fewshot.preparing import VALID_EPISODES, check_task, encode_task, test_episodes, tokenize_task, valid_episodes
from fewshot.processes import main_first
from fewshot.settings import Settings
from fewshot.tasks.task import Task
from fewshot.training import EncoderTrainer, MetaTrainer, TrainedEncoder, TrainingHistory, TrainingHome

log = logging.getLogger(__name__)

WITHOUT_AUGMENTATION = "without augmentation"  # name of the learner's own row of comparison


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment found.

    Args:
        learner: the meta-trained, calibrated learner.
        evaluation: its scores on the test episodes.
        baselines: name → scores on the same episodes; where texts were augmented, the learner without that is the
            first.
        episodes: the test episodes.
        history: the learner's meta-training.
        encoder: what encoded the texts for the learner; the baselines have the published weights.
        encoder_training: the encoder's meta-training, if there was one.
        timings: phase → seconds.
        augmentation: what was made of which texts, if augmentation was asked for.
    """

    learner: Learner
    evaluation: Evaluation
    baselines: dict[str, Evaluation]
    episodes: EpisodeBatch
    history: TrainingHistory
    encoder: Encoder
    encoder_training: TrainedEncoder | None = None
    timings: dict[str, float] = field(default_factory=dict)
    augmentation: AugmentationStage | None = None


def run_experiment(
    task: Task,
    encoder: Encoder,
    make_learner: Callable[[int], Learner],
    trainer: MetaTrainer,
    settings: Settings,
    episodes_folder: Path | None = None,
    home: TrainingHome | None = None,
    encoder_trainer: EncoderTrainer | None = None,
    augmentation: SemanticAugmentation | None = None,
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
        augmentation: makes new texts of those of the support, or of the train classes; None makes none. The baselines
            are without it.

    Raises:
        FewshotError: anything that the user can mend.
    """
    course = _Course(task, trainer, settings, home or TrainingHome())
    check_task(task, settings)
    stage = None if augmentation is None else AugmentationStage(augmentation, task, settings)
    test = test_episodes(task, settings, episodes_folder)
    if stage is not None:
        stage.check(make_learner(1))
    with course.timed("encode"), main_first():
        published = features = encode_task(task, encoder, settings.label_names)
    learner = make_learner(features.dim)
    encoder_training = None
    if learner.reads == "tokens":
        learner.attach(encoder)
        features = tokenize_task(task, encoder, settings.label_names)
    elif encoder.trainable != "none":
        encoder_training = course.train_encoder(encoder, make_learner, encoder_trainer or EncoderTrainer(), stage)
        with course.timed("encode_again"), main_first():
            features = encode_task(task, encoder_training.encoder, settings.label_names)
    used = encoder if encoder_training is None else encoder_training.encoder
    history = course.train(learner, features, used, stage)
    shown = course.augmented(learner, features, used, stage, test)
    with course.timed("calibrate"):
        calibrate(learner, shown.valid_features, shown.valid)
    log.info("Evaluating on %d episodes, %d-way %d-shot, of the test classes", len(test), test.n_way, settings.shots)
    with course.timed("evaluate"):
        evaluation = evaluate(learner, shown.test_features, test)
    baselines = {}
    with course.timed("baselines"):
        if stage is not None and (stage.augments_support or stage.augments_training):
            plain = make_learner(features.dim) if stage.augments_training else copy.deepcopy(learner)
            trained = not stage.augments_training
            baselines[WITHOUT_AUGMENTATION] = course.scored(plain, features, used, test, trained)
        for name in settings.baselines:
            baseline = LEARNERS[name](published.dim)
            if encoder_training is not None or not isinstance(learner, type(baseline)):
                baselines[name] = course.scored(baseline, published, encoder, test)
    return ExperimentResult(
        *(learner, evaluation, baselines, test, history, used, encoder_training, course.timings, stage)
    )


@dataclass(frozen=True)
class _Shown:
    """What a trained learner is calibrated and scored on.

    Args:
        valid: episodes for the temperature.
        valid_features: for these.
        test_features: for the test episodes.
    """

    valid: EpisodeBatch
    valid_features: TaskFeatures
    test_features: TaskFeatures


@dataclass(frozen=True)
class _Course:
    """The phases that more than one learner of an experiment goes through."""

    task: Task
    trainer: MetaTrainer
    settings: Settings
    home: TrainingHome
    timings: dict[str, float] = field(default_factory=dict)

    def train_encoder(
        self,
        encoder: Encoder,
        make_learner: Callable[[int], Learner],
        trainer: EncoderTrainer,
        stage: AugmentationStage | None,
    ) -> TrainedEncoder:
        """Meta-train the encoder, on new texts too where they are wanted."""
        augmented = None
        if stage is not None and stage.augments_training:
            with self.timed("augment"):
                augmented = stage.train_texts(encoder)
        with self.timed("meta_train_encoder"):
            return meta_train_encoder(
                self.task, encoder, make_learner, trainer, self.settings, self.home, augmented=augmented
            )

    def train(
        self, learner: Learner, features: TaskFeatures, encoder: Encoder, stage: AugmentationStage | None = None
    ) -> TrainingHistory:
        """Meta-train a learner, on new texts too where they are wanted."""
        augmented = None
        if stage is not None and stage.augments_training and learner.is_meta_trained:
            with self.timed("augment"):
                features = stage.for_training(features, encoder)
            made, chosen = stage.made["train"], stage.augmentation
            told = {name: getattr(chosen, name) for name in ("weight", "margin", "merge")}
            augmented = {"texts": made.bank.sha256(), **told}
        with self.timed("meta_train"):
            files = training_files(
                self.home, learner, self.task, encoder, self.trainer, self.settings, augmented=augmented
            )
            return meta_train(learner, self.task, features, self.trainer, self.settings, files)

    def augmented(
        self,
        learner: Learner,
        features: TaskFeatures,
        encoder: Encoder,
        stage: AugmentationStage | None,
        test: EpisodeBatch,
    ) -> _Shown:
        """What the learner is shown: the task's texts, and new ones in the support where they are wanted."""
        valid = valid_episodes(self.task, self.settings)[0]
        if learner.reads == "tokens":
            valid = valid[: VALID_EPISODES // FEWER]
        if stage is None:
            return _Shown(valid, features, features)
        with self.timed("augment"):
            if stage.augmentation.policy is not None:
                stage.decide(learner, features, encoder, valid)
            if not stage.augments_support:
                return _Shown(valid, features, features)
            valid = stage.valid_episodes(valid, len(valid))
            of_valid, of_test = stage.on("valid", features, encoder, valid), stage.on("test", features, encoder, test)
            log.info("%s", stage.sentence())
        return _Shown(valid, of_valid, of_test)

    def scored(
        self, learner: Learner, features: TaskFeatures, encoder: Encoder, test: EpisodeBatch, trained: bool = False
    ) -> Evaluation:
        """Scores of a learner that no new text has any part in."""
        if not trained:
            files = training_files(self.home, learner, self.task, encoder, self.trainer, self.settings)
            meta_train(learner, self.task, features, self.trainer, self.settings, files)
        calibrate(learner, features, valid_episodes(self.task, self.settings)[0])
        return evaluate(learner, features, test)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time of a block to its phase."""
        started = time.perf_counter()
        yield
        self.timings[phase] = self.timings.get(phase, 0.0) + time.perf_counter() - started


__all__ = [
    "ExperimentResult",
    "calibrate",
    "encode_task",
    "meta_train",
    "meta_train_encoder",
    "run_experiment",
    "test_episodes",
    "valid_episodes",
]
