"""What is wrong with a composed config, as far as it can be said within a second: torch is not imported."""

from collections.abc import Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from fewshot.cli.arguments import unknown_setting
from fewshot.cli.build import checked_description, plain_values
from fewshot.cli.compose import DEFAULTS, augmentation_is_off, known_settings
from fewshot.cli.settings import RunSettings
from fewshot.cli.signatures import source_parameters
from fewshot.errors import ConfigError
from fewshot.tasks.readers import find_texts, read_rows, task_folder

BY_STAGE = "by_stage"  # the choice of augment that goes by the ladder
_FOLDERS = ("fewshot.tasks.load_folder", "fewshot.tasks.load_folder_or_hub")


def check(config: DictConfig, chosen: Mapping[str, str], overrides: Sequence[str]) -> RunSettings:
    """Refuse settings that do not exist, values of a wrong kind or below 0, and a task folder without its texts.

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
    values = plain_values(config)
    known, typed = known_settings(), [override.lstrip("+") for override in overrides]
    for key in values:  # a user's own group, or what its files define, is not ours to judge
        if key not in (*known, *chosen) and any(word.startswith((f"{key}.", f"{key}=")) for word in typed):
            raise ConfigError(unknown_setting(key, known))
    settings = RunSettings.checked(**{name: values[name] for name in DEFAULTS if name in values})
    _check_augment(values.get("augment") or {}, chosen.get("augment"), typed)
    for group, described in values.items():
        if isinstance(described, Mapping) and "_target_" in described:
            checked_description(described, group, _parameters, {"dim": 1} if group == "learner" else None)
        elif isinstance(described, Mapping):
            _check_places(described, group)
    _check_task(values.get("task") or {})
    return settings


def _check_augment(augment: Mapping[str, Any], chosen: str | None, typed: Sequence[str]) -> None:
    left = chosen == "none" or (chosen == BY_STAGE and f"augment={BY_STAGE}" not in typed)
    settings = [override for override in typed if override.startswith(("augment.", "augment/"))]
    if left and settings:
        raise ConfigError(augmentation_is_off(settings[0]))
    sources = augment.get("sources") or {}
    for name in [name for name, source in sources.items() if "_target_" not in source]:
        present = [source for source in sources if "_target_" in sources[source]]
        raise ConfigError(
            f"Got a setting of the source {name!r}, but the sources are {', '.join(present)}. Write "
            f"augment/source=[{','.join([*present, name])}] as well."
        )
    if "_target_" not in (augment.get("policy") or {"_target_": None}):
        raise ConfigError(
            "Got a setting of augment.policy, but the augmentation has no policy. Write augment=auto, or leave it out."
        )


def _check_places(described: Mapping[str, Any], group: str) -> None:
    """The objects of a group that has several, such as `adaptation.lora`."""
    known = [
        f"{group}.{name}" for name, inner in described.items() if isinstance(inner, Mapping) and "_target_" in inner
    ]
    for name, inner in described.items():
        if f"{group}.{name}" not in known:
            setting = next(iter(inner), None) if isinstance(inner, Mapping) else None
            raise ConfigError(unknown_setting(".".join(filter(None, (group, name, setting))), known))
        checked_description(inner, f"{group}.{name}", _parameters)


def _check_task(task: Mapping[str, Any]) -> None:
    """Look for the texts of a task folder, and at the first of them."""
    target, path = task.get("_target_"), task.get("path")
    if target in _FOLDERS and (path or target == _FOLDERS[0]):
        columns = {key: task[key] for key in ("text_column", "label_column") if key in task and target == _FOLDERS[0]}
        next(read_rows(find_texts(task_folder(Path(str(path)) if path else None)), **columns))


def _parameters(target: str, place: str) -> Mapping[str, Parameter]:
    try:
        return source_parameters(target)
    except LookupError:  # another package's, which says itself what it takes once it is imported
        return {"options": Parameter("options", Parameter.VAR_KEYWORD)}
