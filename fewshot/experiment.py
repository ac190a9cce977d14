"""One experiment: encode, meta-train, augment, calibrate, evaluate, compare.  Plain arguments, no Hydra."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fewshot.adaptation.ladder import Ladder
from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.stage import AugmentationStage
from fewshot.course import WITHOUT_FINAL_STAGE, Course
from fewshot.encoders import Encoder, Trainable
from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation import Evaluation
from fewshot.final_stage import FinalResult
from fewshot.learners import Learner
from fewshot.meta_training import calibrate, meta_train, meta_train_encoder
from fewshot.plan import QUICK, Plan, Tuner, most_shots, trains_encoder
from fewshot.preparing import (
    check_alone,
    check_task,
    check_unseen,
    encode_task,
    test_episodes,
    tokenize_task,
    valid_episodes,
)
from fewshot.processes import main_first
from fewshot.settings import Settings
from fewshot.tasks.task import Task
from fewshot.training import EncoderTrainer, MetaTrainer, TrainedEncoder, TrainingFolders, TrainingHistory
from fewshot.unused import unused_groups, unused_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment found.

    Args:
        learner: the meta-trained, calibrated learner.
        evaluation: its scores on the test episodes.
        baselines: name → scores on the same episodes; first the learner without the final stage and without
            augmentation, where there are any.
        episodes: the test episodes.
        history: the learner's meta-training.
        encoder: what encoded the texts for the learner; the baselines have the published weights.
        encoder_training: the encoder's meta-training, if there was one.
        timings: phase → seconds.
        augmentation: what was made of which texts, if augmentation was asked for.
        plan: the stage of the ladder and what follows from it.
        final: what the final stage came to, if there was one; `evaluation` is then its.
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
    plan: Plan | None = None
    final: FinalResult | None = None


def run_experiment(
    task: Task,
    encoder: Encoder,
    make_learner: Callable[[int], Learner],
    trainer: MetaTrainer,
    settings: Settings,
    episodes_folder: Path | None = None,
    home: TrainingFolders | None = None,
    encoder_trainer: EncoderTrainer | None = None,
    augmentation: SemanticAugmentation | None = None,
    ladder: Ladder | None = None,
    tuners: Mapping[str, Tuner] | None = None,
    quick_trainer: EncoderTrainer | None = None,
    trainable: Trainable | Literal["auto", "none"] = "none",
) -> ExperimentResult:
    """Meta-train on the train classes, select and calibrate on the valid classes, score on the test classes.

    With `settings.classes="all"` every class is scored, so nothing is meta-trained or calibrated on any.

    Args:
        task: the task.
        encoder: every distinct text is encoded once, after it was meta-trained.
        make_learner: number of features → learner.
        trainer: of the learner.
        settings: the rest.
        episodes_folder: where test episodes that are not shipped are kept; None keeps none.
        home: where trainings keep checkpoints and events; None keeps none.
        encoder_trainer: of the encoder; None is one with the defaults.
        augmentation: makes new texts of those of the support, or of the train classes; None makes none. The baselines
            are without it.
        ladder: says by the shots which stage they are for; None is one with the default borders.
        tuners: name of a final stage → what tunes in it; None is `default_tuners()`.
        quick_trainer: of the encoder with `trainable="auto"`; None is `QUICK`.
        trainable: what of the encoder is meta-trained first; `"auto"`: see `trains_encoder`.

    Raises:
        FewshotError: anything that the user can mend.
    """
    probe = make_learner(1)
    check_task(task, settings)
    plan = Plan.of(settings, ladder or Ladder(), probe, most_shots(task, settings))
    asked, settings = settings, plan.settings(settings)
    course = Course(task, trainer, settings, home or TrainingFolders())
    trained = trains_encoder(encoder, trainable, settings, task, probe)
    kind = "none" if trained is None else trained.kind
    check_alone(task, settings, kind, augmentation)
    check_unseen(task, encoder, settings)
    how = (quick_trainer or QUICK) if trainable == "auto" else (encoder_trainer or EncoderTrainer())
    if trained is not None:
        how.target_texts()  # what cannot be read shows before anything is encoded
    stage = None if augmentation is None else AugmentationStage(augmentation, task, settings)
    test = test_episodes(task, settings, episodes_folder)
    if stage is not None:
        stage.check(probe)
    log.info("%s", plan.sentence())
    for unused in (
        *unused_settings(plan, asked),
        *unused_groups(plan, "auto" if trainable == "auto" else kind, kind, encoder_trainer, quick_trainer, tuners),
    ):
        log.warning("%s", unused)
    with course.timed("encode"), main_first():
        published = features = encode_task(task, encoder, settings.label_names)
    learner = make_learner(features.dim)
    encoder_training = None
    if learner.reads == "tokens":
        learner.attach(encoder, None if isinstance(trainable, str) else trainable)
        features = tokenize_task(task, encoder, settings.label_names)
    elif trained is not None:
        encoder_training = course.train_encoder(encoder, trained, make_learner, how, stage)
        with course.timed("encode_again"), main_first():
            features = encode_task(task, encoder_training.encoder, settings.label_names)
    used = encoder if encoder_training is None else encoder_training.encoder
    history = course.train(learner, features, used, stage)
    shown = course.augmented(learner, features, used, stage, test)
    course.calibrate(learner, shown.valid_features, shown.valid)
    whose = "all" if settings.classes == "all" else "the test"
    log.info("Evaluating on %d episodes, %d-way %d-shot, of %s classes", len(test), test.n_way, settings.shots, whose)
    with course.timed("evaluate"):
        evaluation = course.evaluated(learner, shown.test_features, test)
    final, without = None, {}
    if plan.final_stage is not None:
        final = course.finish(plan.final_stage, tuners or {}, learner, used, shown.test_features, test, evaluation)
        test = test[: len(final.adaptations)]
        without[WITHOUT_FINAL_STAGE], evaluation = evaluation[: len(test)], final.evaluation
    baselines = without | course.compared(
        learner, make_learner, (features, used), (published, encoder), stage, test, final is not None
    )
    return ExperimentResult(
        *(learner, evaluation, baselines, test, history, used, encoder_training, course.timings, stage, plan, final)
    )


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
