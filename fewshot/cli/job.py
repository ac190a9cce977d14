"""One run: from the composed config to `run_experiment`, and what it leaves in its folder."""

import logging
import os
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fewshot.cli.build import build
from fewshot.cli.check import BY_STAGE, check
from fewshot.processes import is_main

_REHEARSAL_DIM = 64

log = logging.getLogger(__name__)


def run(config: DictConfig) -> float:
    """Run the composed config.

    Args:
        config: the content of `conf/run.yaml` with its groups.

    Returns:
        The metric named by `metric`, as a fraction.

    Raises:
        FewshotError: anything that the user can mend.
    """
    started = time.perf_counter()
    context = HydraConfig.get()
    settings = check(config, context.runtime.choices, context.overrides.task)
    ladder = build(config, "ladder")
    # Imported here: what `check` refuses needs neither torch nor the rest.
    from fewshot.experiment import run_experiment
    from fewshot.plan import augments, default_tuners
    from fewshot.report.results import add_process, build_results, write_results
    from fewshot.report.table import comparison_table, show
    from fewshot.training import TrainingHome

    folder = Path(context.runtime.output_dir)
    tuners = {name: build(config, f"adaptation.{name}") for name in default_tuners()}
    augmentation = build(config, "augment") if config.get("augment") else None  # before the slow ones
    task = build(config, "task")
    log.info("%s", task)
    for note in task.notes:
        log.info("  %s", note)
    encoder = build(config, "encoder")
    rehearsed = build(config, "learner", dim=_REHEARSAL_DIM)  # its mistakes show before the texts are encoded
    if context.runtime.choices["augment"] == BY_STAGE and not augments(ladder, settings, task, rehearsed):
        augmentation = None
    result = run_experiment(
        task,
        encoder,
        lambda dim: build(config, "learner", dim=dim),
        build(config, "training"),
        settings,
        episodes_folder=Path(config.output) / "episodes" if is_main() else None,
        home=TrainingHome(Path(config.output) / "checkpoints", folder / "tensorboard"),
        encoder_trainer=build(config, "encoder_training"),
        augmentation=augmentation,
        ladder=ladder,
        tuners=tuners,
        quick_trainer=build(config, "quick_training"),
    )
    described = {"model": encoder.model, "fingerprint": encoder.fingerprint}
    if result.plan is not None:
        settings = result.plan.settings(settings)
    results = build_results(task, described, context.runtime.choices["learner"], settings, result)
    if is_main():
        _save(folder, result, results, described)
        n_encoded = sum(used.n_encoded for used in {encoder, result.encoder})
        typed = [override.removeprefix("++") for override in context.overrides.task]
        add_process(results, time.perf_counter() - started, n_encoded, typed)
        write_results(folder, results, result)
        show(comparison_table(results))
        timings = results["timings"]
        log.info(
            f"{timings['total']:.1f} s in all, {timings['episodes_per_second']:.0f} episodes a second, "
            f"{n_encoded:,} texts encoded; results in {_relative(folder)}"
        )
    value = results[settings.metric]
    return float(value["mean"] if isinstance(value, dict) else value)


def _save(folder: Path, result: Any, results: dict[str, Any], encoder: dict[str, str]) -> None:
    from fewshot.learners import save_learner

    details = {key: results[key] for key in ("task", "split", "task_sha256", "shots", "ways", "seed", "label_names")}
    encoder = encoder | {"fingerprint": result.encoder.fingerprint}
    if result.encoder_training is not None and result.encoder_training.kept:
        result.encoder_training.trainable.save(folder / "encoder")
        encoder = encoder | {"weights": "../encoder"}
    save_learner(result.learner, folder / "learner", {"encoder": encoder, **details})
    if result.final is not None and result.final.classifier is not None:
        result.final.classifier.save(folder / "adapted")
        where = _relative(folder / "adapted")
        log.info("fewshot.adaptation.load_adapted(%r) reads the classifier that was tuned last", where)
    if result.augmentation is not None and result.augmentation.asked.save:
        from fewshot.report.augmentation import write_table

        write_table(folder / "augmented.tsv", result.augmentation)


def _relative(folder: Path) -> str:
    try:
        return os.path.relpath(folder)
    except ValueError:  # another drive, on Windows
        return str(folder)
