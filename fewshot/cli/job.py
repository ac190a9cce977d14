"""One run: from the composed config to a recipe, a task and a protocol, and the files of the run."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fewshot.cli.build import build
from fewshot.cli.check import BY_STAGE, check
from fewshot.cli.mlflow_run import check_mlflow, log_run
from fewshot.cli.settings import RunSettings
from fewshot.cli.sweep import finished_run, in_sweep, settings_sha256
from fewshot.cli.trials import watch_of_trial
from fewshot.errors import ConfigError, redacted
from fewshot.processes import is_main
from fewshot.storage import redact_files, user_path

if TYPE_CHECKING:
    from fewshot.experiment.result import ExperimentResult
    from fewshot.recipe import Recipe
    from fewshot.tasks import Task

_REHEARSAL_DIM = 64

log = logging.getLogger(__name__)


def run(config: DictConfig) -> float:
    """Run the composed config.

    Returns:
        The metric named by `metric`, as a fraction.

    Raises:
        FewshotError: anything that the user can mend.
    """
    started = time.perf_counter()
    context = HydraConfig.get()
    redact_files(Path(context.runtime.output_dir) / ".hydra")
    settings = check(config, context.runtime.choices, context.overrides.task)
    if settings.mlflow:
        check_mlflow()
    recipe = recipe_of(config, settings, context.runtime.choices)
    # Imported here: `check` needs neither torch nor the rest.
    from fewshot.experiment.experiment import run_experiment
    from fewshot.experiment.valid_accuracy import check_valid_classes, valid_accuracy
    from fewshot.report.results import build_results
    from fewshot.training import Store

    task = build(config, "task")
    log.info(str(task))
    for note in task.notes:
        log.info(f"  {note}")
    if settings.metric == "valid_accuracy":
        check_valid_classes(task, settings.scored)
    done = finished_run(config, task.sha256) if in_sweep() else None
    if done is not None:
        log.info(f"This run is done: {_relative(done[0])}")
        return _metric(done[1], settings.metric)
    folder, output = Path(context.runtime.output_dir), user_path(config.output, "output")
    store = Store(
        episodes=output / "episodes" if is_main() else None,
        checkpoints=output / "checkpoints",
        events=folder / "tensorboard",
        trainings=output / "trainings",
        resume=settings.resume or in_sweep(),
        reuse=settings.reuse,
        watch=watch_of_trial(config) if in_sweep() else None,
    )
    result = run_experiment(recipe, task, settings.scored, store)
    results = build_results(task, context.runtime.choices["learner"], result)
    if settings.metric == "valid_accuracy":
        results["valid_accuracy"] = valid_accuracy(task, result)
    if is_main():
        _finish(config, folder, task, recipe, result, results, started)
    return _metric(results, settings.metric)


def recipe_of(config: DictConfig, settings: RunSettings, chosen: Any) -> "Recipe":
    """The recipe that a config describes.

    Args:
        config: composed.
        settings: of the config that belong to no group.
        chosen: group → name of its choice.

    Raises:
        FewshotError: what a constructor refuses.
    """
    ladder = build(config, "ladder")
    from fewshot.adaptation.final_stage import default_tuners  # after the ladder, which needs no torch
    from fewshot.recipe import Recipe

    trainable = chosen["trainable"]
    if trainable in ("auto", "none") and config.get("trainable"):
        name = next(iter(config.trainable))
        raise ConfigError(
            f"Got trainable.{name} with trainable={trainable}, which has no settings. Write trainable=lora, adapter or "
            f"full as well; for a final stage write adaptation.lora.trainable.{name}, for example."
        )
    augmentation = build(config, "augment") if config.get("augment") else None  # before the slow ones
    encoder = build(config, "encoder")
    build(config, "learner", dim=_REHEARSAL_DIM)  # to report its mistakes before anything is encoded
    return Recipe(
        encoder=encoder,
        learner=lambda dim: build(config, "learner", dim=dim),
        adapter=settings.adapter,
        trainable=trainable if trainable in ("auto", "none") else build(config, "trainable"),
        trainer=build(config, "training"),
        encoder_trainer=build(config, "encoder_training"),
        quick_trainer=build(config, "quick_training"),
        augmentation="by_stage" if chosen["augment"] == BY_STAGE else augmentation,
        ladder=ladder,
        strategy=settings.strategy,
        final_stage=settings.final_stage,
        tuners={name: build(config, f"adaptation.{name}") for name in default_tuners()},
    )


def _finish(
    config: DictConfig,
    folder: Path,
    task: "Task",
    recipe: "Recipe",
    result: "ExperimentResult",
    results: dict[str, Any],
    started: float,
) -> None:
    """Write and show the results: the numbers first, so that a full disk costs only the rest."""
    from fewshot.page.of_run import page_of_run
    from fewshot.page.render import write_page
    from fewshot.report.results import add_process, write_results
    from fewshot.report.table import comparison_table, show

    n_encoded = sum(encoder.n_encoded for encoder in {recipe.encoder, result.model.encoder})
    typed = [redacted(override.removeprefix("++")) for override in HydraConfig.get().overrides.task]
    add_process(results, time.perf_counter() - started, n_encoded, typed)
    results["settings_sha256"] = settings_sha256(config)
    show(comparison_table(results))  # first: a full disk costs no number
    write_results(folder, results, result)
    for line in results["advice"]:
        log.info(line)
    write_page(folder / "report.html", page_of_run(task, result, results))
    timings = results["timings"]
    log.info(
        f"{timings['total']:.1f} s in all, {timings['episodes_per_second']:.0f} episodes a second, "
        f"{n_encoded:,} texts encoded; results in {_relative(folder)}"
    )
    if config.mlflow:
        log_run(user_path(config.output, "output"), folder, results, result.trained.trainings)
    _save(folder, task, result, results)


def _save(folder: Path, task: "Task", result: "ExperimentResult", results: dict[str, Any]) -> None:
    details = {key: results[key] for key in ("task", "split", "task_sha256", "shots", "ways", "seed", "label_names")}
    result.model.save_pretrained(folder, details)
    if result.scored.classifier is not None:
        result.scored.classifier.save_pretrained(folder / "adapted")
        path = _relative(folder / "adapted")
        log.info(f"TextClassifier.from_pretrained({path!r}) reads the classifier that was tuned last")
    if result.augmentation is not None and result.augmentation.asked.save:
        from fewshot.report.augmentation import write_table

        write_table(folder / "augmented.tsv", result.augmentation, task)


def _metric(results: Mapping[str, Any], name: str) -> float:
    value = results[name]
    return float(value["mean"] if isinstance(value, Mapping) else value)


def _relative(folder: Path) -> str:
    try:
        return os.path.relpath(folder)
    except ValueError:  # another drive, on Windows
        return str(folder)
