"""The phases of an experiment that more than one learner goes through, each on the clock."""

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from fewshot.adaptation import HeadTuner
from fewshot.augment.stage import AugmentationStage
from fewshot.encoders import Encoder, Trainable
from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation import Evaluation, evaluate
from fewshot.features import TaskFeatures
from fewshot.final_stage import FinalResult, FinalStage
from fewshot.learners import LEARNERS, Learner
from fewshot.meta_training import FEWER, calibrate, meta_train, meta_train_encoder, training_files
from fewshot.plan import Tuner, default_tuners
from fewshot.preparing import VALID_EPISODES, valid_episodes
from fewshot.settings import Settings
from fewshot.tasks.task import Task
from fewshot.training import EncoderTrainer, MetaTrainer, TrainedEncoder, TrainingFolders, TrainingHistory

log = logging.getLogger(__name__)

# Names of the rows in which the learner is compared with itself.
WITHOUT_AUGMENTATION = "without augmentation"
WITHOUT_FINAL_STAGE = "without the final stage"
WITHOUT_EITHER = "without final stage and augmentation"
ITSELF = (WITHOUT_FINAL_STAGE, WITHOUT_AUGMENTATION, WITHOUT_EITHER)
FROZEN = ", frozen encoder"  # behind the name of a baseline that is the learner on the published encoder


@dataclass(frozen=True)
class Shown:
    """What a trained learner is calibrated and scored on.

    Args:
        valid: episodes for the temperature; None where all classes are scored.
        valid_features: for these.
        test_features: for the test episodes.
    """

    valid: EpisodeBatch | None
    valid_features: TaskFeatures
    test_features: TaskFeatures


@dataclass(frozen=True)
class Course:
    """The phases of one experiment.

    Args:
        task: the task.
        trainer: of learners.
        settings: of the run.
        home: where trainings keep checkpoints and events.
        timings: phase → seconds, so far.
    """

    task: Task
    trainer: MetaTrainer
    settings: Settings
    home: TrainingFolders
    timings: dict[str, float] = field(default_factory=dict)

    def train_encoder(
        self,
        encoder: Encoder,
        trainable: Trainable,
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
                self.task, encoder, trainable, make_learner, trainer, self.settings, self.home, augmented=augmented
            )

    def train(
        self, learner: Learner, features: TaskFeatures, encoder: Encoder, stage: AugmentationStage | None = None
    ) -> TrainingHistory:
        """Meta-train a learner, on new texts too where they are wanted."""
        if self.settings.classes == "all":
            log.info("All classes are scored, so none is there to meta-train or to calibrate on")
            return TrainingHistory()
        augmented = None
        if stage is not None and stage.augments_training and learner.is_meta_trained:
            with self.timed("augment"):
                features = stage.for_training(features, encoder)
            made, chosen = stage.made["train"], stage.augmentation
            told = {name: getattr(chosen, name) for name in ("weight", "margin", "merge")}
            augmented = {"texts": made.bank.sha256(), **told}
        with self.timed("meta_train"):
            files = training_files(
                self.home, learner, self.task, encoder, self._trainer, self.settings, augmented=augmented
            )
            return meta_train(learner, self.task, features, self._trainer, self.settings, files)

    def finish(
        self,
        name: str,
        tuners: Mapping[str, Tuner],
        learner: Learner,
        encoder: Encoder,
        features: TaskFeatures,
        test: EpisodeBatch,
        before: Evaluation,
    ) -> FinalResult:
        """Tune on the support of each test episode."""
        tuners = default_tuners() | dict(tuners)
        head = tuners["head"]
        assert isinstance(head, HeadTuner)
        stage = FinalStage(name, tuners[name], head, self.task, self.settings, self.home)
        with self.timed("final_stage"):
            return stage.run(learner, encoder, features, test, before)

    def calibrate(self, learner: Learner, features: TaskFeatures, episodes: EpisodeBatch | None) -> None:
        """Fit the temperature, where there are classes for it that are not scored."""
        if episodes is not None:
            with self.timed("calibrate"):
                calibrate(learner, features, episodes)

    def augmented(
        self,
        learner: Learner,
        features: TaskFeatures,
        encoder: Encoder,
        stage: AugmentationStage | None,
        test: EpisodeBatch,
    ) -> Shown:
        """What the learner is shown: the task's texts, and new ones in the support where they are wanted."""
        valid = None if self.settings.classes == "all" else valid_episodes(self.task, self.settings)[0]
        if valid is not None and learner.reads == "tokens":
            valid = valid[: VALID_EPISODES // FEWER]
        if stage is None:
            return Shown(valid, features, features)
        of_valid = features
        with self.timed("augment"):
            if valid is not None and stage.augmentation.policy is not None:
                stage.decide(learner, features, encoder, valid)
            if not stage.augments_support:
                return Shown(valid, features, features)
            if valid is not None:
                valid = stage.valid_episodes(valid, len(valid))
                of_valid = stage.on("valid", features, encoder, valid)
            of_test = stage.on("test", features, encoder, test)
            log.info("%s", stage.sentence())
        return Shown(valid, of_valid, of_test)

    def compared(
        self,
        learner: Learner,
        make_learner: Callable[[int], Learner],
        own: tuple[TaskFeatures, Encoder],
        published: tuple[TaskFeatures, Encoder],
        stage: AugmentationStage | None,
        test: EpisodeBatch,
        tuned: bool,
    ) -> dict[str, Evaluation]:
        """Scores of the learner without augmentation, and of the baselines.

        The learner is a baseline of its own where its encoder is not the published one.

        Args:
            learner: trained.
            make_learner: another one.
            own: features, and the encoder that gave them, that it learned from.
            published: those of the published weights, for the baselines.
            stage: the augmentation.
            test: episodes.
            tuned: whether a final stage stands between the learner and what was scored.
        """
        rows = {}
        with self.timed("baselines"):
            if stage is not None and (stage.augments_support or stage.augments_training):
                trained = not stage.augments_training
                plain = copy.deepcopy(learner) if trained else make_learner(own[0].dim)
                name = WITHOUT_EITHER if tuned else WITHOUT_AUGMENTATION
                rows[name] = self.scored(plain, *own, test, trained)
            for name in self.settings.baselines:
                baseline = LEARNERS[name](published[0].dim)
                if not isinstance(learner, type(baseline)):
                    rows[name] = self.scored(baseline, *published, test)
                elif own[1] is not published[1]:
                    rows[f"{name}{FROZEN}"] = self.scored(baseline, *published, test)
        return rows

    def scored(
        self, learner: Learner, features: TaskFeatures, encoder: Encoder, test: EpisodeBatch, trained: bool = False
    ) -> Evaluation:
        """Scores of a learner that no new text has any part in, but for those that its encoder was trained on."""
        if self.settings.classes == "test":
            if not trained:
                files = training_files(self.home, learner, self.task, encoder, self._trainer, self.settings)
                meta_train(learner, self.task, features, self._trainer, self.settings, files)
            calibrate(learner, features, valid_episodes(self.task, self.settings)[0])
        return self.evaluated(learner, features, test)

    def evaluated(self, learner: Learner, features: TaskFeatures, test: EpisodeBatch) -> Evaluation:
        """Scores, with intervals that go with how the test episodes are made."""
        return evaluate(learner, features, test, one_test_part=self.settings.protocol == "fixed_test")

    @property
    def _trainer(self) -> MetaTrainer:
        """What meets no text in the test episodes learns from some without any."""
        if self.settings.shots or 0 in self.trainer.shots:
            return self.trainer
        return replace(self.trainer, shots=(0, *self.trainer.shots))

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time of a block to its phase."""
        started = time.perf_counter()
        yield
        self.timings[phase] = self.timings.get(phase, 0.0) + time.perf_counter() - started
