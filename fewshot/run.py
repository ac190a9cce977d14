"""The main job: `python -m fewshot.run +task=medical_terms shots=5`.  The only room that knows Hydra.

compose → build → encode → meta-train → calibrate → evaluate → report.  Returns the metric, for sweeps.
"""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

# Before torch is loaded: OpenMP threads that wait by spinning bring a shared machine of few cores to a crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

from fewshot.command_line import NoTask, normalise_arguments
from fewshot.errors import FewshotError
from fewshot.resources import shipped

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
    from fewshot.report.results import add_process, build_results, write_results
    from fewshot.report.table import comparison_table, show
    from fewshot.settings import Settings

    settings = Settings.checked(**_settings(config))
    context = HydraConfig.get()
    folder = Path(context.runtime.output_dir)
    name = context.runtime.choices["learner"]
    task = instantiate(config.task)
    log.info("%s", task)
    for note in task.notes:
        log.info("  %s", note)
    encoder = instantiate(config.encoder)
    result = run_experiment(
        task,
        encoder,
        lambda dim: instantiate(config.learner, dim=dim),
        instantiate(config.training),
        settings,
        episodes_folder=Path(config.output) / "episodes",
    )
    described = {"model": encoder.model, "fingerprint": encoder.fingerprint}
    results = build_results(task, described, name, settings, result)
    _save(folder, result, results, described)
    add_process(results, time.perf_counter() - started, encoder.n_encoded)
    write_results(folder, results, result)
    show(comparison_table(results))
    log.info(
        "%.1f s in all, %.0f episodes a second, %s texts encoded; results in %s",
        results["timings"]["total"],
        results["timings"]["episodes_per_second"],
        f"{encoder.n_encoded:,}",
        os.path.relpath(folder),
    )
    value = results[settings.metric]
    return float(value["mean"] if isinstance(value, dict) else value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Args:
        arguments: what stands behind `python -m fewshot.run`; `sys.argv[1:]` when None.

    Returns:
        Exit status: 0; 2 when there is something for the user to mend; 130 after Ctrl-C.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    conf = shipped("conf")
    try:
        with _arguments(normalise_arguments(typed, conf)):
            hydra.main(version_base="1.3", config_path=str(conf), config_name="run")(_task_function)()
    except NoTask as listing:
        print(listing, file=sys.stderr)
        return 2
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


def _task_function(config: DictConfig) -> float:
    return run(config)


def _settings(config: DictConfig) -> dict[str, Any]:
    from dataclasses import fields

    from fewshot.settings import Settings

    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {field.name: plain[field.name] for field in fields(Settings)}


def _save(folder: Path, result: Any, results: dict[str, Any], encoder: dict[str, str]) -> None:
    from fewshot.learners import save_learner

    details = {key: results[key] for key in ("task", "split", "task_sha256", "shots", "ways", "seed", "label_names")}
    save_learner(result.learner, folder / "learner", {"encoder": encoder, **details})


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


def _complain(message: object) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _hydra_message(error: Exception) -> str:
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
