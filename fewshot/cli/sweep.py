"""A sweep that survives: jobs that are done are skipped, one that fails does not stop the others, a table ends it.

Each job folder has `job.json` with `settings_sha256`, `overrides`, `attempts` (how often it was started), `status`
(running, done, skipped, pruned, failed, or unsaved: it has results, and something else could not be written) and, where
it was pruned or failed, a `message`. Two jobs are the same if all settings that could change a number are equal, and so
are the texts, the code and the versions of the libraries.
"""

import functools
import hashlib
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from fewshot.cli.trials import PrunedTrial
from fewshot.errors import FewshotError, redacted, sentence
from fewshot.report.jobs import JOB, jobs_without_results, read_json
from fewshot.resources import installation
from fewshot.storage import redact_files, user_path, write_json

log = logging.getLogger(__name__)

ATTEMPTS = 3  # of a job whose worker dies

OF_NO_NUMBER = ("output", "resume", "reuse", "metric", "mlflow")  # settings that change no number


def settings_sha256(config: DictConfig) -> str:
    """A hash of the settings, the code and the versions of libraries, which determine the results on given texts."""
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    kept = {name: value for name, value in settings.items() if name not in OF_NO_NUMBER}
    content = json.dumps([kept, installation()], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def in_sweep() -> bool:
    """True in a job of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def finished_run(config: DictConfig, task_sha256: str) -> tuple[Path, Mapping[str, Any]] | None:
    """Folder and results of a run of this sweep or an earlier one that this job would repeat; None if there is none.

    Args:
        config: of the job.
        task_sha256: hash of the texts, their labels and their split.
    """
    hashes = (settings_sha256(config), task_sha256)
    for folder, results in _finished(config.output, HydraConfig.get().sweep.dir):
        same = (results["settings_sha256"], results.get("task_sha256")) == hashes and config.metric in results
        if same and read_json(folder / JOB).get("status") == "done":  # its model is there as well
            return folder, results
    return None


def attempts_of(folder: Path) -> int:
    """Number of times that the job of a folder was started."""
    attempts = read_json(folder / JOB).get("attempts", 0)
    return attempts if isinstance(attempts, int) else 0


def write_lost(folder: Path, reason: str) -> None:
    """Write to the folder of a job that its worker died each time."""
    message = (
        f"Its worker died {attempts_of(folder)} times ({reason}). Often memory runs out: let fewer run at once, choose "
        f"a smaller encoder, or give each more."
    )
    write_json(folder / JOB, {**read_json(folder / JOB), "status": "failed", "message": message})


def run_job(config: DictConfig, run: Callable[[DictConfig], float]) -> float:
    """Run a job of a sweep; if it fails or is pruned, its folder says why, and the value is NaN."""
    context = HydraConfig.get()
    folder = Path(context.runtime.output_dir)
    job: dict[str, Any] = {
        "settings_sha256": settings_sha256(config),
        "overrides": [redacted(override) for override in context.overrides.task],
        "attempts": attempts_of(folder) + 1,
    }
    write_json(folder / JOB, job | {"status": "running"})
    redact_files(Path(context.sweep.dir))
    try:
        value = run(config)
    except PrunedTrial as pruned:
        write_json(folder / JOB, job | {"status": "pruned", "message": str(pruned)})
        log.info(str(pruned))
        return math.nan
    except FewshotError as error:
        message = str(error)
    except Exception as error:
        log.exception("A job of the sweep failed with an error that should not happen.")
        message = f"{type(error).__name__}: {error}"
    else:
        status = "done" if (folder / "results.json").is_file() else "skipped"
        write_json(folder / JOB, job | {"status": status})
        return value
    status = "unsaved" if (folder / "results.json").is_file() else "failed"
    write_json(folder / JOB, job | {"status": status, "message": message})
    log.error(f"error: {message} The sweep goes on.")
    return math.nan


class SweepEnd(Callback):
    """Ends a sweep with a table and a page of its runs, those that were skipped and those that failed too.

    `SystemExit(2)` leaves Hydra if a job failed or is unsaved.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """See `hydra.experimental.callback.Callback`."""
        from fewshot.cli.reporting import show_runs
        from fewshot.report.collect import collect

        sweep = config.hydra.sweep.dir
        jobs = [read_json(path) for path in Path(sweep).rglob(JOB)]
        hashes = {job.get("settings_sha256") for job in jobs if job.get("status") in ("done", "skipped", "unsaved")}
        finished = {results["settings_sha256"]: folder for folder, results in _finished(config.output, sweep)}
        runs = [run for name, folder in finished.items() if name in hashes for run in collect(folder)]
        without = jobs_without_results([Path(sweep)])
        show_runs(runs, without, Path(sweep) / "comparison.html")
        failed = [job for job in without if not job.pruned]
        if failed:
            has = "has" if len(failed) == 1 else "have"
            print(f"error: {len(failed)} of {len(jobs)} runs {has} no results, as the table says.", file=sys.stderr)
        unsaved = [job for job in jobs if job.get("status") == "unsaved"]
        if unsaved:
            print(
                f"error: {len(unsaved)} of {len(jobs)} runs could not keep their model: "
                f"{sentence(str(unsaved[0].get('message')))} The same command tries again.",
                file=sys.stderr,
            )
        if failed or unsaved:
            raise SystemExit(2)


def _finished(output: str, sweep: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Folder and results of the jobs of this sweep and of others in the same output folder that are done."""
    folders = (user_path(output, "output") / "sweeps", Path(sweep))
    for path in sorted({path for folder in folders for path in folder.rglob("results.json")}):
        results = _read(path, path.stat().st_mtime_ns)
        if "settings_sha256" in results:
            yield path.parent, results


@functools.cache
def _read(path: Path, changed: int) -> Mapping[str, Any]:
    """A file of JSON as it was when it was last `changed`, in nanoseconds."""
    return read_json(path)
