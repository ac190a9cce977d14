"""What is typed, before Hydra sees it: `task=x` as well as `+task=x`, near matches, and the list of tasks."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from fewshot.errors import ConfigError

_GROUPS = ("task", "encoder", "learner", "training")
_PASS_THROUGH = {
    "--help",
    "-h",
    "--hydra-help",
    "--version",
    "--info",
    "-i",
    "--cfg",
    "-c",
    "--shell-completion",
    "-sc",
}


class NoTask(ConfigError):
    """No task was named; the message lists them."""


def normalise_arguments(arguments: Sequence[str], conf: Path) -> list[str]:
    """Arguments for Hydra.

    1. `task=NAME` becomes `+task=NAME` (no task is in the defaults, so Hydra would refuse the first form).
    2. A choice of `task`, `encoder`, `learner` or `training` that does not exist is refused with near matches;
       in a comma-separated sweep, each of them.
    3. Without a task, and without a flag that needs none, the tasks are listed.

    Args:
        arguments: `sys.argv[1:]`.
        conf: the config folder; folders given by `--config-dir` are looked at as well.

    Raises:
        NoTask: no task was named.
        ConfigError: a choice that does not exist.
    """
    folders = [conf, *_config_dirs(arguments)]
    result = []
    has_task = False
    for argument in arguments:
        group, _, value = argument.lstrip("+").partition("=")
        if group in _GROUPS and value and not argument.startswith(("-", "~")):
            _check_choice(group, value, folders)
        if group == "task" and value and not argument.startswith(("-", "~")):
            has_task = True
            argument = f"+task={value}"
        result.append(argument)
    if not has_task and not _PASS_THROUGH & {argument.split("=")[0] for argument in arguments}:
        raise NoTask(_task_list(folders))
    return result


def choices(group: str, folders: Sequence[Path]) -> dict[str, str]:
    """Names of a config group with the first comment of each file."""
    found = {}
    for folder in reversed(folders):
        for path in sorted((folder / group).glob("*.yaml")):
            first = path.read_text(encoding="utf-8").partition("\n")[0]
            found[path.stem] = first.lstrip("# ") if first.startswith("#") else ""
    return dict(sorted(found.items()))


def _check_choice(group: str, value: str, folders: Sequence[Path]) -> None:
    known = choices(group, folders)
    for name in value.split(","):
        if name in known or not name.replace("_", "").replace("-", "").isalnum():  # a sweep expression is Hydra's
            continue
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        plus = "+" if group == "task" else ""
        raise ConfigError(
            f"There is no {group} {name!r}. {hint}Expected one of {', '.join(known)}; write {plus}{group}=NAME."
        )


def _config_dirs(arguments: Sequence[str]) -> list[Path]:
    found = []
    for index, argument in enumerate(arguments):
        if argument in ("--config-dir", "-cd") and index + 1 < len(arguments):
            found.append(Path(arguments[index + 1]))
        elif argument.startswith("--config-dir="):
            found.append(Path(argument.partition("=")[2]))
    return found


def _task_list(folders: Sequence[Path]) -> str:
    tasks = choices("task", folders)
    width = max(map(len, tasks))
    lines = [f"  +task={name:<{width}}  {comment}" for name, comment in tasks.items()]
    return "\n".join(
        [
            "No task was named. The tasks are:",
            "",
            *lines,
            "",
            "Try:  python -m fewshot.run +task=medical_terms shots=5",
            "      python -m fewshot.run +task=folder task.path=DIR shots=5",
            "All settings:  python -m fewshot.run --help",
        ]
    )
