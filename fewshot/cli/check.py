"""Simple mistakes in a composed config, refused within a second: torch is not imported."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fewshot.cli.arguments import below_zero, unknown_setting
from fewshot.cli.compose import DEFAULTS, KNOWN, augmentation_is_off
from fewshot.cli.settings import RunSettings
from fewshot.errors import ConfigError
from fewshot.tasks.readers import find_texts, labelled_rows, task_path

BY_STAGE = "by_stage"  # the choice of augment that depends on the ladder's stage
_FOLDERS = ("fewshot.tasks.load_folder", "fewshot.tasks.load_hub")


def check(config: DictConfig, chosen: Mapping[str, str], overrides: Sequence[str]) -> RunSettings:
    """Refuse run settings that cannot be used, typed numbers below 0, and a task folder without its texts or columns.

    The arguments of constructors are checked by `build`, which imports them.

    Args:
        config: composed.
        chosen: group → name of its choice.
        overrides: of this run.

    Returns:
        The settings that belong to no group.

    Raises:
        ConfigError: a setting that cannot be used.
        TaskError: the task folder does not exist, or has no texts or columns of these names.
    """
    typed = [override.lstrip("+") for override in overrides]
    for key in map(str, config):  # groups of the user, and keys that their files define, are not checked
        if key not in (*KNOWN, *chosen) and any(word.startswith((f"{key}.", f"{key}=")) for word in typed):
            raise ConfigError(unknown_setting(key, KNOWN))
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    settings = RunSettings.checked(**{name: values[name] for name in DEFAULTS if name in values})
    names = [name for name in (word.partition("=")[0] for word in typed) if "." in name and "@" not in name]
    if problems := [line for name in names for line in below_zero(name, OmegaConf.select(config, name))]:
        raise ConfigError("\n".join(problems))
    _check_augment(values.get("augment") or {}, chosen.get("augment"), typed)
    _check_tuners(values.get("adaptation") or {})
    _check_task(values.get("task") or {})
    return settings


def _check_augment(augment: Mapping[str, Any], chosen: str | None, typed: Sequence[str]) -> None:
    is_off = chosen == "none" or (chosen == BY_STAGE and f"augment={BY_STAGE}" not in typed)
    settings = [override for override in typed if override.startswith(("augment.", "augment/"))]
    if is_off and settings:
        raise ConfigError(augmentation_is_off(settings[0]))
    sources = augment.get("sources") or {}
    present = [name for name, source in sources.items() if "_target_" in source]
    for name in [name for name in sources if name not in present]:
        raise ConfigError(
            f"Got a setting of the source {name!r}, but the sources are {', '.join(present)}. Write "
            f"augment/source=[{','.join([*present, name])}] as well."
        )
    if "_target_" not in (augment.get("policy") or {"_target_": None}):
        raise ConfigError(
            "Got a setting of augment.policy, but the augmentation has no policy. Write augment=auto, or leave it out."
        )


def _check_tuners(tuners: Mapping[str, Any]) -> None:
    known = [f"adaptation.{name}" for name, tuner in tuners.items() if "_target_" in tuner]
    for name, tuner in tuners.items():
        if f"adaptation.{name}" not in known:
            raise ConfigError(unknown_setting(f"adaptation.{name}.{next(iter(tuner), '')}".rstrip("."), known))


def _check_task(task: Mapping[str, Any]) -> None:
    """Read the first text of a task folder or file, or of each one of a collection."""
    for source in (task.get("tasks") or {}).values():
        _check_task(source)
    target, path = task.get("_target_"), task.get("path")
    if target in _FOLDERS and (path or target == _FOLDERS[0]):
        columns = {key: task[key] for key in ("text_column", "label_column") if key in task and target == _FOLDERS[0]}
        next(iter(labelled_rows(find_texts(task_path(str(path) if path else None)), **columns)), None)
