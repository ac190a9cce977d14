"""`results.json`: what a run found, under keys that do not change.

    task, split, task_sha256        name, class split, hash of texts, labels and split
    encoder                         {model, fingerprint}, as published
    encoder_training                null, or {trainable, layers, parameters, parameter_share, steps, best_step, kept,
                                    valid_accuracy, valid_accuracy_before, fingerprint}; the baselines are without it,
                                    but for the learner itself without augmentation or final stage
    learner                         name on the command line
    ways, shots, queries, seed, label_names, realistic, support_noise, episodes     as scored
    episodes_sha256                 hash of the test episodes: equal hashes can be compared pairwise
    accuracy, macro_f1              {mean, ci95, std} over episodes, as fractions; where all have one test part, ci95
                                    covers other test texts too
    ece, ece_uncalibrated           expected calibration error after and before `temperature`
    temperature                     fitted on valid classes, or for what was tuned on texts held out of its support
                                    (the mean); 1 where there are neither
    intra_class_distance, inter_class_distance      {mean, ci95, std}; see `fewshot.evaluation.distances`
    baselines                       name → {accuracy, macro_f1, ece, ..., difference: {mean, ci95, std}}
    strategy                        {stage, reason, asked, final_stage, protocol, classes, support_texts: {smallest,
                                    largest}}: of the ladder; support_texts are those that a class has in an episode
    adaptation                      null, or what the final stage did; see `adaptation_json`
    augment                         null, or what was made of which texts; see `fewshot.report.augmentation`
    meta_training                   {steps, best_step, valid_accuracy, valid_accuracy_before}
    timings                         phase → seconds; total; episodes_per_second
    peak_memory_mb                  of the process
    texts_encoded                   texts that went through the encoder; 0 when all were cached
    notes                           what was changed while reading the texts
    versions                        of the libraries
    overrides, command              the settings that were typed; the command that makes this result

`episode_accuracies.json` beside it holds the accuracy of every episode for every learner.
"""

import importlib.metadata
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewshot.evaluation import Estimate, Evaluation
from fewshot.experiment.evaluating import Scored
from fewshot.experiment.result import ExperimentResult
from fewshot.report.augmentation import augmentation_json
from fewshot.storage import write_json
from fewshot.tasks.task import Task
from fewshot.training import TrainedEncoder, TrainingHistory

LIBRARIES = ("fewshot-text", "torch", "transformers", "sentence-transformers", "scikit-learn", "hydra-core", "numpy")


def as_json(estimate: Estimate) -> dict[str, float | None]:
    """An estimate under its three keys."""
    return {"mean": estimate.mean, "ci95": estimate.ci95, "std": estimate.std}


def scores(evaluation: Evaluation) -> dict[str, Any]:
    """The scores of one learner."""
    return {
        "accuracy": as_json(evaluation.accuracy),
        "macro_f1": as_json(evaluation.macro_f1),
        "ece": evaluation.ece(calibrated=True),
        "ece_uncalibrated": evaluation.ece(calibrated=False),
        "temperature": evaluation.mean_temperature,
        "intra_class_distance": as_json(Estimate.of(evaluation.intra_class_distance)),
        "inter_class_distance": as_json(Estimate.of(evaluation.inter_class_distance)),
    }


def build_results(task: Task, learner: str, result: ExperimentResult) -> dict[str, Any]:
    """The content of `results.json`, but for what only the process knows (see `add_process`).

    Args:
        task: the task.
        learner: name of the learner.
        result: what was found.
    """
    ours, plan, protocol, trained = result.evaluation, result.plan, result.plan.protocol, result.trained
    baselines = {
        name: scores(theirs) | {"difference": as_json(ours.difference(theirs))}
        for name, theirs in result.baselines.items()
    }
    return {
        "task": task.name,
        "split": task.split,
        "task_sha256": task.sha256,
        "encoder": {"model": plan.encoder.model, "fingerprint": plan.encoder.fingerprint},
        "encoder_training": None
        if result.trained.encoder_training is None
        else _encoder_training(result.trained.encoder_training),
        "learner": learner,
        "ways": result.episodes.n_way,
        "shots": protocol.shots,
        "queries": result.episodes.n_query,
        "seed": protocol.seed,
        "label_names": protocol.label_names,
        "realistic": protocol.realistic,
        "support_noise": protocol.support_noise,
        "episodes": len(result.episodes),
        "episodes_sha256": result.episodes.sha256(),
        **scores(ours),
        "baselines": baselines,
        "strategy": _strategy(result),
        "adaptation": adaptation_json(plan.final_stage.name, result.scored) if plan.final_stage else None,
        "augment": None if result.augmentation is None else augmentation_json(result.augmentation),
        "meta_training": _training(trained.history),
        "timings": {
            **result.timings,
            "episodes_per_second": len(result.episodes) / ours.seconds,
        },
        "notes": list(task.notes),
    }


def _strategy(result: ExperimentResult) -> dict[str, Any]:
    plan, sizes = result.plan, result.episodes.support_mask.sum(-1)
    return {
        "stage": plan.rung.name,
        "reason": plan.rung.reason,
        "asked": plan.strategy,
        "final_stage": None if plan.final_stage is None else plan.final_stage.name,
        "protocol": plan.protocol.protocol,
        "classes": plan.protocol.classes,
        "support_texts": {"smallest": int(sizes.min()), "largest": int(sizes.max())},
    }


def adaptation_json(stage: str, scored: Scored) -> dict[str, Any]:
    """The value of `adaptation` in `results.json`.

    stage       name of the final stage
    supports    how many were tuned on
    kept        stage → on how many of these it was kept; prototypes: the learner stayed as it was
    seconds     for all, the scoring of their queries included
    each        for each support `stage` (what was kept), `held_out` {before, after, standard_error, n_texts}, which are
                accuracies on texts held out of the support, `learner_held_out`, the learner's own on these, and how
                it was tuned
    """
    return {
        "stage": stage,
        "supports": len(scored.adaptations),
        "kept": dict(Counter(str(details["stage"]) for details in scored.adaptations)),
        "seconds": scored.evaluation.seconds,
        "each": [dict(details) for details in scored.adaptations],
    }


def _training(history: TrainingHistory) -> dict[str, Any]:
    return {
        "steps": history.steps,
        "best_step": history.best_step,
        "valid_accuracy": history.valid_accuracies.get(history.best_step),
        "valid_accuracy_before": history.valid_accuracies.get(0),
    }


def _encoder_training(trained: TrainedEncoder) -> dict[str, Any]:
    return {
        "trainable": trained.trainable.trainable.kind,
        "layers": trained.trainable.trainable.layers,
        "parameters": trained.parameters.trained,
        "parameter_share": trained.parameters.share,
        **_training(trained.history),
        "kept": trained.kept,
        "fingerprint": trained.encoder.fingerprint,
    }


def add_process(results: dict[str, Any], total_seconds: float, texts_encoded: int, overrides: Sequence[str]) -> None:
    """Add what only the process knows: total time, memory, versions, and what was typed (in a sweep, for this job)."""
    results["timings"]["total"] = total_seconds
    results["peak_memory_mb"] = peak_memory_mb()
    results["texts_encoded"] = texts_encoded
    results["versions"] = versions()
    results["overrides"] = list(overrides)
    results["command"] = shlex.join(["python", "-m", "fewshot.run", *overrides])


def write_results(folder: Path, results: dict[str, Any], result: ExperimentResult) -> None:
    """Write `results.json` and `episode_accuracies.json`, each whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
    """
    named = {results["learner"]: result.evaluation, **result.baselines}
    accuracies = {name: evaluation.accuracies.tolist() for name, evaluation in named.items()}
    write_json(folder / "episode_accuracies.json", accuracies)
    write_json(folder / "results.json", results)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries behind the numbers."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float | None:
    """Most memory that this process has held, in MB (10^6 bytes); None on systems that do not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
