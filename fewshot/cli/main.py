"""From `sys.argv` to an exit status: Hydra is called here, and mistakes become sentences."""

import contextlib
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fewshot.cli import job
from fewshot.cli.compose import CONF, reworded
from fewshot.cli.sweep import in_sweep, run_job
from fewshot.cli.typed import NoTask, config_folders, for_this_process, normalise_arguments
from fewshot.errors import ConfigError, FewshotError, StorageError, sentence
from fewshot.processes import disconnect, is_main, process_index

_GRACE = 3.0  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Args:
        arguments: those of `python -m fewshot.run`; None: `sys.argv[1:]`.

    Returns:
        Exit status: 0; 2 for a mistake that the user can mend; 130 after Ctrl-C.
    """
    logging.raiseExceptions = False  # a disk that is full costs lines of the log, without a traceback each
    typed = list(sys.argv[1:] if arguments is None else arguments)
    if {"--help", "-h"} & set(typed):
        from fewshot.cli.help import advanced_help, main_help

        print(advanced_help() if "advanced" in typed else main_help())
        return 0
    mistakes, folders = list[FewshotError](), [CONF]
    try:
        folders = config_folders(typed)
        with _as_argv(for_this_process(normalise_arguments(typed, folders))):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="run")(_task_function(mistakes))()
        if mistakes:
            return _complain(mistakes[0])
        disconnect()
    except NoTask as listing:
        return _complain(listing, "")
    except FewshotError as error:
        return _complain(error)
    except (HydraException, OmegaConfBaseException) as error:
        return _complain(reworded(error, typed, folders))
    except ValueError as error:
        if not str(error).startswith("Config group override"):  # Hydra's, of learner=7
            raise
        return _complain(f"{error}, expected the name of a choice, such as learner=ridge.")
    except OSError as error:
        where = f" {str(error.filename)!r}" if error.filename else ""
        return _complain(
            f"Could not write to the output folder{where}: {error.strerror or error}. Expected a folder that can be "
            f"written. Set output=/another/folder."
        )
    except KeyboardInterrupt:
        is_sweep = {"-m", "--multirun"} & set(typed)
        outcome = "the same command goes on from here" if is_sweep else "the run has no results"
        print(f"\nStopped. Texts encoded so far stay in the cache; {outcome}.", file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    return 0


def _task_function(mistakes: list[FewshotError]) -> Callable[[DictConfig], float]:
    def task_function(config: DictConfig) -> float:
        if in_sweep():
            return run_job(config, _run)
        try:
            return _run(config)
        except FewshotError as error:
            mistakes.append(error)  # Hydra would report a job that raises with all its overrides
            return math.nan

    return task_function


def _run(config: DictConfig) -> float:
    try:
        return job.run(config)
    except FewshotError:  # a StorageError is an OSError as well
        raise
    except OSError as error:
        what = repr(str(error.filename)) if error.filename else "a file"
        raise StorageError(
            f"Could not read or write {what}: {error.strerror or error}. Expected a file that is there and may be "
            f"used, on a disk with space. Check it, or set output=/another/folder."
        ) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        raise ConfigError(
            f"There is not enough memory for this run ({str(error)[-200:] or 'MemoryError'}). Expected one that fits. "
            f"Lower ways, shots, queries or episodes, or choose a smaller encoder."
        ) from error


@contextlib.contextmanager
def _as_argv(arguments: list[str]) -> Iterator[None]:
    """Set `sys.argv`, which Hydra reads, and make Hydra raise errors instead of printing them."""
    argv, full_error = sys.argv, os.environ.pop("HYDRA_FULL_ERROR", None)
    sys.argv = [argv[0], *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        del os.environ["HYDRA_FULL_ERROR"]
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _complain(message: object, before: str = "error: ") -> int:
    if not is_main():
        # What is wrong here is most often wrong in the first process too, which says so; the launcher then ends this.
        time.sleep(_GRACE)
        before = f"process {process_index()}: {before}"
    print(f"{before}{sentence(str(message))}", file=sys.stderr, flush=True)
    return 2
