"""`results.json`: the results of a run, under keys that do not change.

    task, split, task_sha256, learner       names of task, split and learner, hash of texts, labels and split
    encoder             {model, weights, fingerprint} before any training of this run
    adapters            null, or adapter and strength → number of supports for which it was chosen
    encoder_training    null, or {trainable, layers, parameters, ..., fingerprint} of the trained one; baselines are
                        then scored on both, ", frozen encoder" and ", trained encoder"
    ways, shots, queries, seed, label_names, realistic, support_noise, episodes     as scored
    episodes_sha256     equal hashes can be compared pairwise
    accuracy, macro_f1  {mean, ci95, std, interval} as fractions: ci95 is half the 95 % interval over draws of episodes,
                        null in a cross-validation; interval, [low, high], is for other texts, and with classes=test
                        for other classes
    ece, ece_uncalibrated, temperature      expected calibration error after and before `temperature`, fitted on valid
                        classes; of a final stage on texts held out of each support (the mean); 1 if there are neither
    intra_class_distance, inter_class_distance      see `fewshot.evaluation.class_distances`
    valid_accuracy      with metric=valid_accuracy alone: of the meta-model on the valid classes
    baselines           name → {accuracy, macro_f1, ece, ..., difference: {mean, ci95, std, interval}}
    strategy            {stage, reason, asked, ...} of the ladder; support_texts are those of a class in an episode
    adaptation          null, or the work of the final stage; see `adaptation_json`
    augment             null, or the new texts; see `fewshot.report.augmentation`
    meta_training       {steps, best_step, valid_accuracy, valid_accuracy_before}
    notes, versions     changes made while reading the texts; versions of the libraries
    advice              how sure the number is, whether a baseline is better, and what would help most
    timings             phase → seconds; total; episodes_per_second
    peak_memory_mb      of the process
    texts_encoded       texts that went through the encoder; 0 if all were cached
    overrides, command  the typed settings; the command that makes this result
    settings_sha256     of all settings, the code and the versions; a sweep skips what has this hash and task_sha256

`episode_accuracies.json` beside it holds the accuracy of every episode for every learner.
"""

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewshot.evaluation import Estimate, Evaluation
from fewshot.experiment.evaluating import Scored
from fewshot.experiment.result import ExperimentResult
from fewshot.report.advice import advice
from fewshot.report.augmentation import augmentation_json
from fewshot.resources import versions
from fewshot.storage import write_json
from fewshot.tasks.task import Task
from fewshot.training import TrainedEncoder, TrainingHistory


def scores(evaluation: Evaluation) -> dict[str, Any]:
    """The scores of one learner."""
    return {
        "accuracy": evaluation.accuracy.as_json(),
        "macro_f1": evaluation.macro_f1.as_json(),
        "ece": evaluation.ece(calibrated=True),
        "ece_uncalibrated": evaluation.ece(calibrated=False),
        "temperature": evaluation.mean_temperature,
        "intra_class_distance": Estimate.of(evaluation.intra_class_distance).as_json(),
        "inter_class_distance": Estimate.of(evaluation.inter_class_distance).as_json(),
    }


def build_results(task: Task, learner: str, result: ExperimentResult) -> dict[str, Any]:
    """The content of `results.json`, but for the entries of `add_process`; `learner` is the learner's name."""
    ours, plan, protocol, trained = result.evaluation, result.plan, result.plan.protocol, result.trained
    baselines = {
        name: scores(theirs) | {"difference": ours.difference(theirs).as_json()}
        for name, theirs in result.baselines.items()
    }
    return {
        "task": task.name,
        "split": task.split,
        "task_sha256": task.sha256,
        "encoder": {
            "model": plan.encoder.model,
            "weights": None if plan.encoder.weights is None else str(plan.encoder.weights),
            "fingerprint": plan.encoder.fingerprint,
        },
        "adapters": _adapters(result.scored),
        "encoder_training": trained.encoder_training and _encoder_training(trained.encoder_training),
        "learner": learner,
        "ways": result.episodes.n_way,
        "shots": protocol.shots,
        "queries": None if plan.drawn == "cross_validation" else result.episodes.n_query,
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
        "timings": {**result.timings, "episodes_per_second": len(result.episodes) / ours.seconds},
        "notes": list(task.notes),
        "advice": advice(task, result),
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
    supports    number of supports that were tuned on
    kept        stage → number of supports on which it was kept; prototypes: the learner did not change
    seconds     for all, the scoring of their queries included
    each        for each support the kept `stage`, `held_out` {before, after, standard_error, n_texts}: accuracies on
                texts held out of the support, `learner_held_out`: the learner's own on these, and details of tuning
    """
    return {
        "stage": stage,
        "supports": len(scored.adaptations),
        "kept": dict(Counter(str(details["stage"]) for details in scored.adaptations)),
        "seconds": scored.evaluation.seconds,
        "each": [dict(details) for details in scored.adaptations],
    }


def _training(history: TrainingHistory) -> dict[str, Any]:
    accuracies = history.valid_accuracies
    best = {"steps": history.steps, "best_step": history.best_step}
    return best | {"valid_accuracy": accuracies.get(history.best_step), "valid_accuracy_before": accuracies.get(0)}


def _adapters(scored: Scored) -> dict[str, int] | None:
    chosen = [details["adapter"] for details in scored.adaptations if "adapter" in details]
    names = (
        "none" if adapter["name"] is None else f"{adapter['name']} at {adapter['strength']:g}" for adapter in chosen
    )
    return dict(Counter(names).most_common()) or None


def _encoder_training(trained: TrainedEncoder) -> dict[str, Any]:
    return {
        "trainable": trained.trainable.kind,
        "layers": trained.trainable.layers,
        "parameters": trained.parameters.trained,
        "parameter_share": trained.parameters.share,
        **_training(trained.history),
        "kept": trained.kept,
        "fingerprint": trained.encoder.fingerprint,
    }


def add_process(results: dict[str, Any], total_seconds: float, texts_encoded: int, overrides: Sequence[str]) -> None:
    """Add total time, memory, versions, and the typed settings (of this job, in a sweep)."""
    results["timings"]["total"] = total_seconds
    results |= {"peak_memory_mb": peak_memory_mb(), "texts_encoded": texts_encoded, "versions": versions()}
    results |= {"overrides": list(overrides), "command": shlex.join(["python", "-m", "fewshot.run", *overrides])}


def write_results(folder: Path, results: dict[str, Any], result: ExperimentResult) -> None:
    """Write `results.json` and `episode_accuracies.json`, each whole or not at all; StorageError if that fails."""
    evaluations = {results["learner"]: result.evaluation, **result.baselines}
    write_json(
        folder / "episode_accuracies.json", {name: scored.accuracies.tolist() for name, scored in evaluations.items()}
    )
    write_json(folder / "results.json", results)


def peak_memory_mb() -> float | None:
    """Peak memory of this process in MB (10^6 bytes); None on Windows."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
