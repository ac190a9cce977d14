"""The typed arguments, before Hydra reads them: `task=x` and `task=[x,y]`, flags anywhere, and the list of tasks."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from fewshot.cli.compose import CONF, choices
from fewshot.cli.renamed import renamed
from fewshot.errors import ConfigError
from fewshot.processes import is_main, process_count

_WITH_VALUE = {"--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"}
_WITHOUT_TASK = {"--hydra-help", "--version", "--info", "-i", "--cfg", "-c", "--shell-completion", "-sc"}


class NoTask(ConfigError):
    """No task was named; the message lists them."""


def normalise_arguments(arguments: Sequence[str], folders: Sequence[Path] = (CONF,)) -> list[str]:
    """Arguments for Hydra.

    1. `task=NAME` becomes `+task=NAME` (no task is in the defaults, so Hydra would refuse the first form), and a list
       of names, or of files and folders of texts, a collection of them.
    2. `group.setting=VALUE` becomes `++group.setting=VALUE`: a YAML has only what differs from the constructor, which
       checks every name.
    3. Earlier names of settings become the current ones.
    4. Flags such as `-m` may stand anywhere; Hydra wants them before or behind all settings.

    Args:
        arguments: `sys.argv[1:]`.
        folders: those of the config groups.

    Raises:
        NoTask: no task was named, and no flag that needs none; the message lists them.
    """
    flags: list[str] = []
    overrides: list[str] = []
    takes_value = False
    for argument in renamed(arguments):
        if digits := re.search(r"\d{4300}\d*", argument):
            raise ConfigError(f"Got a number of {len(digits[0]):,} digits in {argument[:40]!r}. Write a smaller one.")
        key, _, value = argument.lstrip("+").partition("=")
        if takes_value or argument.startswith("-"):
            flags.append(argument)
        elif key == "task":
            overrides += _task(value, folders) if value else []
        elif "." in key.partition("@")[0] and not argument.startswith(("+", "~", "hydra.")):
            overrides.append(f"++{argument}")
        else:
            overrides.append(argument)
        takes_value = not takes_value and argument in _WITH_VALUE
    has_task = any(override.startswith("+task=") for override in overrides)
    if not has_task and not _WITHOUT_TASK & {flag.split("=")[0] for flag in flags}:
        raise NoTask(_task_list(folders))
    return overrides + flags


def _task(value: str, folders: Sequence[Path]) -> list[str]:
    """The overrides of a task, or of the collection of several."""
    if not (value.startswith("[") and value.endswith("]")):
        return [f"+task={value}"]
    known, overrides = choices("task", folders), ["+task=collection"]
    names = [name.strip().strip("\"'") for name in value[1:-1].split(",")]
    for name in filter(None, names):
        source = name if name in known else re.sub(r"\W", "_", Path(name).stem)
        overrides.append(f"+task@task.tasks.{source}={name if name in known else 'folder'}")
        if name not in known:
            overrides.append(f"++task.tasks.{source}.path='{name}'")
    sources = [override.partition("=")[0] for override in overrides]
    if twice := next((source for source in sources if sources.count(source) > 1), None):
        raise ConfigError(f"Got {twice.rpartition('.')[2]!r} twice in task={value}, expected different names.")
    return overrides


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """Our own config folder, and those of `--config-dir`.

    Raises:
        ConfigError: one does not exist.
    """
    folders = [Path(word.partition("=")[2]) for word in arguments if word.startswith("--config-dir=")]
    folders += [Path(value) for flag, value in pairwise(arguments) if flag in ("--config-dir", "-cd")]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"The folder {str(folder)!r} of --config-dir does not exist. Give an existing folder.")
    return [CONF, *folders]


def for_this_process(arguments: list[str]) -> list[str]:
    """Arguments that make Hydra leave folders, files and logs to the first of several processes.

    Raises:
        ConfigError: a sweep in several processes.
    """
    if process_count() > 1 and {"-m", "--multirun"} & set(arguments):
        raise ConfigError(
            f"Got {'-m' if '-m' in arguments else '--multirun'} in one of {process_count()} processes, expected one "
            f"run. Launch each run of the sweep by itself."
        )
    if is_main():
        return arguments
    replaced = ("hydra.run.dir", "hydra.output_subdir", "hydra/job_logging", "hydra/hydra_logging")
    kept = [argument for argument in arguments if argument.lstrip("+").partition("=")[0] not in replaced]
    disabled = ["hydra.run.dir=.", "hydra.output_subdir=null", *(f"{name}=disabled" for name in replaced[2:])]
    return [*disabled, *kept]  # flags are at the end, and settings may not be on both sides of them


def _task_list(folders: Sequence[Path]) -> str:
    tasks = choices("task", folders)
    width = max(map(len, tasks))
    return "\n".join(
        [
            "No task was named. The tasks are:\n",
            *(f"  +task={name:<{width}}  {comment}" for name, comment in tasks.items()),
            "\nTry:  python -m fewshot.run +task=medical_terms shots=5",
            "      python -m fewshot.run +task=folder task.path=DIR shots=5",
            "The main settings:  python -m fewshot.run --help",
        ]
    )
