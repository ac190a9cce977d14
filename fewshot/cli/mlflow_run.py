"""`mlflow=true`: a run as an entry of MLflow, in `mlflow.sqlite` of the output folder or at MLFLOW_TRACKING_URI."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewshot.cli.extras import needed
from fewshot.errors import redacted

if TYPE_CHECKING:
    from fewshot.training import TrainingHistory

log = logging.getLogger(__name__)

_BATCH = 1000  # metrics that MLflow takes at once
_MAX_LENGTH = 500  # characters of a parameter


def check_mlflow() -> None:
    """Raise a ConfigError before anything is trained if MLflow, or a package for its SQLite files, is missing."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # no telemetry
    for package in ("mlflow", "sqlalchemy", "alembic"):
        needed(package, "mlflow", "mlflow=true")
        logging.getLogger(package).setLevel(logging.WARNING)


def log_run(output: Path, folder: Path, results: Mapping[str, Any], trainings: "Mapping[str, TrainingHistory]") -> None:
    """Write a finished run as one of the experiment that is called like its task.

    A failure costs the entry alone, and is a warning: the results are in the folder of the run.

    Args:
        output: folder of all runs.
        folder: of this run.
        results: content of its `results.json`.
        trainings: name → history.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(output / 'mlflow.sqlite').absolute()}"
    now = int(1000 * time.time())
    metrics = [Metric(name, value, now, step) for name, value, step in metrics_of(results, trainings)]
    params = [Param(name, str(value)[:_MAX_LENGTH]) for name, value in params_of(results).items()]
    tags = {"folder": str(folder), "command": results["command"], "task_sha256": results["task_sha256"]}
    try:
        client = MlflowClient(address)
        experiment = client.get_experiment_by_name(results["task"])
        name = experiment.experiment_id if experiment else client.create_experiment(results["task"])
        run = client.create_run(name, run_name=f"{results['learner']} {folder.name}").info.run_id
        client.log_batch(run, params=params, tags=[RunTag(key, value) for key, value in tags.items()])
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(run, metrics[start : start + _BATCH])
        client.set_terminated(run)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        log.warning(f"MLflow has no entry of this run: {redacted(str(error).splitlines()[0])}")
        return
    log.info(f"MLflow: run {run} of the experiment {results['task']!r} in {redacted(address)}")


def metrics_of(
    results: Mapping[str, Any], trainings: "Mapping[str, TrainingHistory]"
) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of all scores, of the losses of each step, and of each valid accuracy."""
    for prefix, scores in {"": results, **{f"{name}/": of for name, of in results["baselines"].items()}}.items():
        plain = "".join(letter if letter.isalnum() or letter in "_-/ " else " " for letter in prefix)
        yield f"{plain}accuracy", scores["accuracy"]["mean"], 0
        yield f"{plain}macro_f1", scores["macro_f1"]["mean"], 0
        yield f"{plain}ece", scores["ece"], 0
    if "valid_accuracy" in results:
        yield "valid_accuracy", results["valid_accuracy"], 0
    yield "seconds", results["timings"]["total"], 0
    for name, history in trainings.items():
        yield from ((f"{name}/loss", loss, step) for step, loss in enumerate(history.losses, 1))
        yield from ((f"{name}/valid_accuracy", score, step) for step, score in history.valid_accuracies.items())


def params_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """The main settings of a run, and the settings that were typed."""
    names = ("task", "split", "learner", "ways", "shots", "episodes", "seed", "label_names")
    typed = dict(override.lstrip("+").partition("=")[::2] for override in results["overrides"])
    return {**typed, **{name: results[name] for name in names}, "encoder": results["encoder"]["model"]}
