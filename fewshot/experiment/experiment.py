"""An experiment: a recipe is meta-trained on a task, and scored on the episodes of a protocol beside its baselines."""

import logging
from dataclasses import replace

from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.cross_validation import FOLDS, CrossValidation
from fewshot.evaluation import Evaluation, by_text, evaluate
from fewshot.experiment.checks import warn_of_seen_classes
from fewshot.experiment.episodes import TaskEncoder, episodes_of
from fewshot.experiment.evaluating import score, score_each
from fewshot.experiment.meta_training import MetaTrained, meta_train, timed
from fewshot.experiment.plan import Plan
from fewshot.experiment.protocol import Protocol
from fewshot.experiment.result import (
    FROZEN,
    TRAINED,
    WITHOUT_AUGMENTATION,
    WITHOUT_EITHER,
    WITHOUT_FINAL_STAGE,
    ExperimentResult,
)
from fewshot.experiment.trainings import recalibrated, trained_learner
from fewshot.learners import LEARNERS, Learner
from fewshot.recipe import Recipe
from fewshot.tasks.task import Task
from fewshot.training import Store

log = logging.getLogger(__name__)


def run_experiment(
    recipe: Recipe, task: Task, protocol: Protocol | None = None, store: Store | None = None
) -> ExperimentResult:
    """Meta-train on the train classes, select and calibrate on the valid classes, score on the test classes.

    With `classes="all"` every class is scored, so nothing is meta-trained or calibrated on any.

    Args:
        recipe: encoder, learner, trainers, augmentation, ladder.
        task: the task.
        protocol: which episodes of which classes; None is the default one.
        store: for episodes, checkpoints and events; None keeps none.

    Raises:
        FewshotError: the settings, the task or the encoder cannot be used.
    """
    store, plan = store or Store(), recipe.plan(task, protocol)
    protocol = plan.protocol
    warn_of_seen_classes(task, plan.encoder, protocol)
    episodes = episodes_of(task, plan.protocol, store.episodes)
    log.info(plan.sentence())
    for note in plan.notes:
        log.warning(note)
    encoded = TaskEncoder(task, protocol.label_names)
    trained = meta_train(task, plan, store, encoded)
    store = replace(store, watch=None)  # later trainings are no part of the meta-model
    model, timings = trained.model, dict(trained.timings)
    whose = "all" if protocol.classes == "all" else "the test"
    if plan.drawn == "cross_validation":
        log.info(f"Cross-validating {episodes.n_way} classes: {len(episodes) // FOLDS} times {FOLDS} folds")
    else:
        log.info(
            f"Evaluating on {len(episodes)} episodes, {episodes.n_way}-way {protocol.shots}-shot, of {whose} classes"
        )
    with timed(timings, "evaluate"):
        scored = score(model, task, episodes, plan, encoded)
    before: dict[str, Evaluation] = {}
    if plan.final_stage is not None:
        without = scored.evaluation
        with timed(timings, "final_stage"):
            scored = replace(score_each(model, task, episodes, plan, store), new_texts=scored.new_texts)
        episodes = episodes[: len(scored.evaluation.logits)]
        before[WITHOUT_FINAL_STAGE] = without[slice(len(episodes))]
    with timed(timings, "baselines"):
        baselines = before | _baselines(trained, task, plan, episodes, store, encoded)
    with_half = None
    if plan.drawn == "cross_validation":
        folds = CrossValidation(episodes, FOLDS)
        untuned = before.get(WITHOUT_FINAL_STAGE, scored.evaluation)
        if isinstance(model.learner, Learner) and protocol.shots:
            half = score(model, task, folds.with_half().episodes, plan, encoded).evaluation
            with_half = (by_text(untuned, folds), by_text(half, folds))
        scored = replace(scored, evaluation=by_text(scored.evaluation, folds))
        baselines = {name: by_text(evaluation, folds) for name, evaluation in baselines.items()}
    return ExperimentResult(
        plan=plan,
        trained=trained,
        scored=scored,
        baselines=baselines,
        episodes=episodes,
        timings=timings,
        with_half=with_half,
        features=encoded(model.encoder) if isinstance(model.learner, Learner) else None,
    )


def _baselines(
    trained: MetaTrained, task: Task, plan: Plan, episodes: EpisodeBatch, store: Store, encoded: TaskEncoder
) -> dict[str, Evaluation]:
    """Scores of the learner without augmentation, and of the baselines on the published encoder and on the trained one.

    The gain of a baseline on the trained encoder is due to the encoder, the remaining difference to the learner. If
    the learner's encoder is not the published one, the learner itself is scored on the published one too.
    """
    rows, model, published = {}, trained.model, plan.encoder

    def evaluated(learner: Learner, encoder: Encoder) -> Evaluation:
        return evaluate(learner, encoded(encoder), episodes, plan.sample(episodes))

    result = trained.augmentation
    if (
        result is not None
        and isinstance(model.learner, Learner)
        and (result.support is not None or result.meta_training)
    ):
        name = WITHOUT_AUGMENTATION if plan.final_stage is None else WITHOUT_EITHER
        features = encoded(model.encoder)
        if result.meta_training:
            plain = trained_learner(plan.learner, task, plan, model.encoder, features, store)
        else:
            plain = recalibrated(model.learner, task, plan, features)
        rows[name] = evaluated(plain, model.encoder)
    for name in plan.protocol.baselines:
        kind = LEARNERS[name]
        itself = isinstance(model.learner, kind)
        if model.encoder is published:
            encoders = {} if itself else {"": published}
        else:
            encoders = {FROZEN: published} if itself else {FROZEN: published, TRAINED: model.encoder}
        for which, encoder in encoders.items():
            learner = trained_learner(kind, task, plan, encoder, encoded(encoder), store)
            rows[f"{name}{which}"] = evaluated(learner, encoder)
    return rows
