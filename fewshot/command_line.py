"""What is typed, before Hydra sees it: `task=x` as well as `+task=x`, near matches, and the list of tasks."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from fewshot.arguments import unknown_setting
from fewshot.cli.renamed import renamed
from fewshot.errors import ConfigError

_GROUPS = (
    *("task", "encoder", "trainable", "learner", "training", "encoder_training", "augment", "augment/source", "ladder"),
)
_NO_GROUPS = ("defaults", "accelerate")  # accelerate reads its folder itself
_NO_SETTINGS = ("_target_", "defaults")
_WITH_VALUE = {"--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"}
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
    2. A choice of `task`, `encoder`, `learner` or another group that does not exist is refused with near matches;
       in a comma-separated sweep, and in a list of sources, each of them.
    3. A setting that does not exist is refused with near matches; Hydra would advise a `+` before its name, and
       then nothing would read it.
    4. Without a task, and without a flag that needs none, the tasks are listed.
    5. Flags such as `-m` may stand anywhere; Hydra wants them before or behind all settings.

    Args:
        arguments: `sys.argv[1:]`.
        conf: the config folder; folders given by `--config-dir` are looked at as well.

    Raises:
        NoTask: no task was named.
        ConfigError: a choice that does not exist.
    """
    arguments = renamed(arguments)
    folders = [conf, *_config_dirs(arguments)]
    flags, overrides = _flags_apart(arguments)
    known = _known_settings(folders)
    result = []
    for override in overrides:
        key, equals, value = override.lstrip("+").partition("=")
        if not equals and not override.startswith("~"):
            raise ConfigError(f"Got {override!r}, expected NAME=VALUE such as shots=5.")
        if key in _GROUPS and value and not override.startswith("~"):
            _check_choice(key, value, folders)
        root, _, rest = key.lstrip("~").partition(".")
        if re.split("[/@]", root)[0] not in known:
            raise ConfigError(unknown_setting(key, known))
        if root.split("/")[0] == "augment" and key != "augment":
            _check_augmented(override, overrides)
        if rest and not override.startswith(("+", "~")) and root not in ("hydra",):
            override = f"++{override}"  # a YAML states what differs from the constructor, which judges every name
        result.append(f"+task={value}" if key == "task" and not override.startswith("~") else override)
    has_task = any(override.startswith("+task=") and override != "+task=" for override in result)
    if not has_task and not _PASS_THROUGH & {flag.split("=")[0] for flag in flags}:
        raise NoTask(_task_list(folders))
    return result + flags


def choices(group: str, folders: Sequence[Path]) -> dict[str, str]:
    """Names of a config group with the first comment of each file that is one for readers."""
    found = {}
    for folder in reversed(folders):
        for path in sorted((folder / group).glob("*.yaml")):
            lines = path.read_text(encoding="utf-8").splitlines()
            first = next((line for line in lines if not line.startswith("# @package")), "")
            found[path.stem] = first.lstrip("# ") if first.startswith("#") else ""
    return dict(sorted(found.items()))


def _flags_apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    flags: list[str] = []
    overrides: list[str] = []
    takes_value = False
    for argument in arguments:
        (flags if takes_value or argument.startswith("-") else overrides).append(argument)
        takes_value = not takes_value and argument in _WITH_VALUE
    return flags, overrides


def _known_settings(folders: Sequence[Path]) -> list[str]:
    """What may stand before `=`, up to its first dot: the settings of `run.yaml`, and the groups."""
    lines = (folders[0] / "run.yaml").read_text(encoding="utf-8").splitlines()
    settings = [line.partition(":")[0] for line in lines if line[:1].isalpha()]
    groups = [path.name for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_dir()]
    second = [place.split(".")[0] for place in _packages(folders)]
    return [name for name in dict.fromkeys([*settings, *_GROUPS, *groups, *second]) if name not in _NO_GROUPS]


def _check_group_setting(group: str, rest: str, overrides: Sequence[str], folders: Sequence[Path]) -> None:
    """Refuse `learner.scal=3`: no YAML that is chosen has that key."""
    run = (folders[0] / "run.yaml").read_text(encoding="utf-8")
    chosen, shown = _chosen(group, re.findall(rf"^ *- {group}: (\w+)", run, re.MULTILINE), overrides), group
    content = _content(group, chosen, folders)
    if group == "augment" and rest.startswith("sources."):
        name, _, rest = rest.removeprefix("sources.").partition(".")
        _check_source_chosen(name, content, overrides)
        content, shown = _content("augment/source", [name], folders), f"augment.sources.{name}"
    elif group == "augment" and rest.startswith("policy."):
        content, shown, rest = _policy(content), "augment.policy", rest.removeprefix("policy.")
    known = _keys(content)
    if known and rest.split(".")[0] not in (*known, "_target_"):
        raise ConfigError(unknown_setting(f"{shown}.{rest}", [f"{shown}.{name}" for name in known]))


def _keys(content: str) -> list[str]:
    """The settings at the top of YAML files."""
    return [name for name in dict.fromkeys(re.findall(r"^(\w+):", content, re.MULTILINE)) if name not in _NO_SETTINGS]


def _packages(folders: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """Second uses of a group: where its settings stand → group and name of the file."""
    run = (folders[0] / "run.yaml").read_text(encoding="utf-8")
    found = re.findall(r"^ *- (\w+)@([\w.]+): (\w+)", run, re.MULTILINE)
    return {place: (group, name) for group, place, name in found}


def _check_packaged(key: str, folders: Sequence[Path]) -> None:
    """Refuse `adaptation.lora.epoch=3`: the file that stands there has no such key."""
    packages = _packages(folders)
    place = next((name for name in packages if key.startswith(f"{name}.")), None)
    if place is None:
        if key not in packages:
            root = key.split(".")[0]
            raise ConfigError(unknown_setting(key, [name for name in packages if name.split(".")[0] == root]))
        return
    group, name = packages[place]
    known = _keys(_content(group, [name], folders))
    if key.removeprefix(f"{place}.").split(".")[0] not in known:
        raise ConfigError(unknown_setting(key, [f"{place}.{setting}" for setting in known]))


def _policy(content: str) -> str:
    """The settings of the policy in the text of `augment` files."""
    block = re.search(r"^policy:\n((?:  .*(?:\n|$))+)", content, re.MULTILINE)
    if block is None:
        raise ConfigError(
            "Got a setting of augment.policy, but the augmentation has no policy. Write augment=auto, or leave it out."
        )
    return re.sub(r"^  ", "", block[1], flags=re.MULTILINE)


def _check_source_chosen(name: str, content: str, overrides: Sequence[str]) -> None:
    default = [
        name for names in re.findall(r"^ *- source: \[(.*)\]", content, re.MULTILINE) for name in names.split(",")
    ]
    chosen = [source.strip(" []") for source in _chosen("augment/source", default, overrides)]
    if name not in chosen:
        raise ConfigError(
            f"Got a setting of the source {name!r}, but the sources are {', '.join(chosen)}. Write "
            f"augment/source=[{','.join([*chosen, name])}] as well."
        )


def _chosen(group: str, default: list[str], overrides: Sequence[str]) -> list[str]:
    """Names of the group's files that are typed, or the default."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        default = value.split(",") if key == group else default
    return default


def _content(group: str, names: Sequence[str], folders: Sequence[Path]) -> str:
    """The text of a group's files with those that they build on."""
    files = [folder / group / f"{name}.yaml" for folder in folders for name in names]
    content = "\n".join(path.read_text(encoding="utf-8") for path in files if path.is_file())
    below = [name for name in re.findall(r"^ *- (\w+)$", content, re.MULTILINE) if name != "_self_"]
    return f"{content}\n{_content(group, below, folders)}" if below else content


def _check_augmented(override: str, overrides: Sequence[str]) -> None:
    """A setting of the augmentation is for naught where none is chosen."""
    if not set(_chosen("augment", ["none"], overrides)) - {"none"}:
        raise ConfigError(
            f"Got {override!r}, but augmentation is left to the ladder, or is off. Write augment=semantic as well, or "
            f"augment=auto to have it decided on the valid classes."
        )


def _check_choice(group: str, value: str, folders: Sequence[Path]) -> None:
    known = choices(group, folders)
    for name in value.strip("[]").split(","):
        name = name.strip()
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
    for folder in found:
        if not folder.is_dir():
            raise ConfigError(f"The folder {str(folder)!r} of --config-dir does not exist. Give an existing folder.")
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
