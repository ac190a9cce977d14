"""The main job: `python -m fewshot.run +task=medical_terms shots=5`.

With `building` and `command_line` this is the only code that knows Hydra.

compose → build → encode → meta-train → calibrate → evaluate → report.  Returns the metric, for sweeps.
"""

import contextlib
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

# Before torch is loaded: OpenMP threads that wait by spinning bring a shared machine of few cores to a crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
if "RANK" in os.environ:  # torch would say in each process that all parameters were used, which is as it should be
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

from fewshot.building import build, plain_values
from fewshot.command_line import NoTask, normalise_arguments
from fewshot.errors import ConfigError, FewshotError, StorageError
from fewshot.processes import disconnect, is_main, process_count, process_index
from fewshot.resources import shipped

_REHEARSAL_DIM = 64
_BY_STAGE = "by_stage"  # the choice of augment that goes by the ladder
_GRACE = 3.0  # seconds

log = logging.getLogger("fewshot.run")  # not __name__, which is __main__ when run as a module


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
    # Imported here: composing, listing tasks and refusing a typo need neither torch nor the rest.
    from fewshot.experiment import run_experiment
    from fewshot.plan import augments, default_tuners
    from fewshot.report.results import add_process, build_results, write_results
    from fewshot.report.table import comparison_table, show
    from fewshot.settings import Settings
    from fewshot.training import TrainingFolders

    settings = Settings.checked(**_settings(config))
    context = HydraConfig.get()
    folder = Path(context.runtime.output_dir)
    ladder, tuners = build(config, "ladder"), {name: build(config, f"adaptation.{name}") for name in default_tuners()}
    augmentation = build(config, "augment") if config.get("augment") else None  # before the slow ones
    trainable = _trainable(config)
    task = build(config, "task")
    log.info("%s", task)
    for note in task.notes:
        log.info("  %s", note)
    encoder = build(config, "encoder")
    rehearsed = build(config, "learner", dim=_REHEARSAL_DIM)  # its mistakes show before the texts are encoded
    name = context.runtime.choices["learner"]
    if context.runtime.choices["augment"] == _BY_STAGE and not augments(ladder, settings, task, rehearsed):
        augmentation = None
    result = run_experiment(
        task,
        encoder,
        lambda dim: build(config, "learner", dim=dim),
        build(config, "training"),
        settings,
        episodes_folder=Path(config.output) / "episodes" if is_main() else None,
        home=TrainingFolders(Path(config.output) / "checkpoints", folder / "tensorboard"),
        encoder_trainer=build(config, "encoder_training"),
        augmentation=augmentation,
        ladder=ladder,
        tuners=tuners,
        quick_trainer=build(config, "quick_training"),
        trainable=trainable,
    )
    described = {"model": encoder.model, "fingerprint": encoder.fingerprint}
    if result.plan is not None:
        settings = result.plan.settings(settings)
    results = build_results(task, described, name, settings, result)
    if is_main():
        _save(folder, result, results, described)
        n_encoded = sum(used.n_encoded for used in {encoder, result.encoder})
        add_process(results, time.perf_counter() - started, n_encoded, context.overrides.task)
        write_results(folder, results, result)
        show(comparison_table(results))
        _tell_end(folder, results, n_encoded)
    value = results[settings.metric]
    return float(value["mean"] if isinstance(value, dict) else value)


def _trainable(config: DictConfig) -> Any:
    """What of the encoder is meta-trained: `"auto"`, `"none"`, or settings."""
    choice = HydraConfig.get().runtime.choices.get("trainable")
    if choice not in ("auto", "none"):
        return build(config, "trainable")
    if config.get("trainable"):
        name = next(iter(config.trainable))
        raise ConfigError(
            f"Got trainable.{name} with trainable={choice}, which has no settings. Write trainable=lora, adapter or "
            f"full as well; for a final stage write adaptation.lora.trainable.{name}, for example."
        )
    return choice


def _tell_end(folder: Path, results: dict[str, Any], n_encoded: int) -> None:
    log.info(
        "%.1f s in all, %.0f episodes a second, %s texts encoded; results in %s",
        results["timings"]["total"],
        results["timings"]["episodes_per_second"],
        f"{n_encoded:,}",
        _relative(folder),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Args:
        arguments: what stands behind `python -m fewshot.run`; `sys.argv[1:]` when None.

    Returns:
        Exit status: 0; 2 when there is something for the user to mend; 130 after Ctrl-C.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    conf = shipped("conf")
    mistakes: list[FewshotError] = []
    try:
        with _arguments(_for_this_process(normalise_arguments(typed, conf))):
            hydra.main(version_base="1.3", config_path=str(conf), config_name="run")(_task_function(mistakes))()
        if mistakes:
            return _complain(mistakes[0])
        disconnect()
    except NoTask as listing:
        return _complain(listing, "")
    except FewshotError as error:
        return _complain(error)
    except (HydraException, OmegaConfBaseException) as error:
        return _complain(_hydra_message(error))
    except OSError as error:
        return _complain(_folder_message(error))
    except KeyboardInterrupt:
        print("\nStopped. Texts encoded so far stay in the cache; the run has no results.", file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    return 0


def _relative(folder: Path) -> str:
    try:
        return os.path.relpath(folder)
    except ValueError:  # another drive, on Windows
        return str(folder)


def _task_function(mistakes: list[FewshotError]) -> Callable[[DictConfig], float]:
    def task_function(config: DictConfig) -> float:
        try:
            return _run(config)
        except FewshotError as error:
            # Hydra announces a job that raises with all that was typed: good to know in a sweep, else only noise.
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            mistakes.append(error)
            return math.nan

    return task_function


def _run(config: DictConfig) -> float:
    try:
        return run(config)
    except OSError as error:
        if isinstance(error, FewshotError):
            raise
        what = repr(str(error.filename)) if error.filename else "a file"
        raise StorageError(
            f"Could not read or write {what}: {error.strerror or error}. Expected a file that is there and may be "
            f"used, on a disk with space. Check it, or set output=/another/folder."
        ) from error


def _settings(config: DictConfig) -> dict[str, Any]:
    from dataclasses import fields

    from fewshot.settings import Settings

    plain = plain_values(config)
    return {field.name: plain[field.name] for field in fields(Settings) if field.name in plain}


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
        log.info("fewshot.load_adapted(%r) reads the classifier that was tuned last", _relative(folder / "adapted"))
    if result.augmentation is not None and result.augmentation.asked.save:
        from fewshot.report.augmentation import write_table

        write_table(folder / "augmented.tsv", result.augmentation)


@contextlib.contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    """Hydra reads `sys.argv`, and shows errors its own way unless told to raise them."""
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [before[0][0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before[0]
        if before[1] is None:
            os.environ.pop("HYDRA_FULL_ERROR", None)
        else:
            os.environ["HYDRA_FULL_ERROR"] = before[1]


def _for_this_process(arguments: list[str]) -> list[str]:
    """Arguments that make Hydra leave folders, files and logs to the first of several processes."""
    if process_count() > 1 and {"-m", "--multirun"} & set(arguments):
        raise ConfigError(
            f"Got {'-m' if '-m' in arguments else '--multirun'} in one of {process_count()} processes, expected one "
            f"run. Launch each run of the sweep by itself."
        )
    if is_main():
        return arguments
    theirs = ("hydra.run.dir", "hydra.output_subdir", "hydra/job_logging", "hydra/hydra_logging")
    kept = [argument for argument in arguments if argument.lstrip("+").partition("=")[0] not in theirs]
    own = ["hydra.run.dir=.", "hydra.output_subdir=null", *(f"{name}=disabled" for name in theirs[2:])]
    return [*own, *kept]  # flags are at the end, and settings may not be on both sides of them


def _complain(message: object, before: str = "error: ") -> int:
    if not is_main():
        # What is wrong here is most often wrong in the first process too, which says so; the launcher then ends this.
        time.sleep(_GRACE)
        before = f"process {process_index()}: {before}"
    print(f"{before}{message}", file=sys.stderr, flush=True)
    return 2


def _hydra_message(error: Exception) -> str:
    if isinstance(error, OverrideParseException):
        return (
            f"Could not read {error.override!r}: {error.message}. Expected NAME=VALUE. Put a value with brackets, "
            f"commas, equals signs or spaces in two pairs of quotes, such as 'task.path=\"/data/a (new) folder\"'."
        )
    causes = [str(error).strip()]
    cause = error.__cause__
    while cause is not None:
        causes.append(str(cause).strip())
        cause = cause.__cause__
    return "\n".join(dict.fromkeys(filter(None, causes)))


def _folder_message(error: OSError) -> str:
    where = f" {str(error.filename)!r}" if error.filename else ""
    return (
        f"Could not write to the output folder{where}: {error.strerror or error}. Expected a folder that can be "
        f"written. Set output=/another/folder."
    )


if __name__ == "__main__":
    sys.exit(main())
