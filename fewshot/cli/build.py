"""From a composed config to objects: `_target_` and that constructor's arguments, at any depth."""

import inspect
from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from fewshot.cli.arguments import checked_arguments
from fewshot.errors import ConfigError, FewshotError

_EXTRAS = {"nlpaug": "augment", "nltk": "wordnet", "openai": "llm"}  # package → the extra that installs it


def build(config: DictConfig, group: str, **fixed: Any) -> Any:
    """Make the object that a config group describes; errors are not wrapped by Hydra.

    Args:
        config: the composed config.
        group: its name, or the key of a description inside one, such as `adaptation.lora`.
        **fixed: further arguments of the constructor.

    Raises:
        ConfigError: one line for each setting that a constructor does not take or that is of a wrong kind.
        FewshotError: what a constructor raises.
    """
    described = OmegaConf.select(config, group)
    if described is None:
        raise ConfigError(f"There is no {group}. Write {group}=NAME, and no ~{group}.")
    if not isinstance(described, DictConfig):
        raise ConfigError(f"Got {group}={described}, expected its settings, such as {group}.NAME=VALUE.")
    checked = _checked(OmegaConf.to_container(described, resolve=True), group, fixed)
    try:
        return instantiate({**checked, "_convert_": "all"})
    except InstantiationException as error:
        cause, top = error.__cause__, group.partition(".")[0]
        if not isinstance(cause, FewshotError):
            raise
        if top != group:  # an object names its group, but not its key inside the group
            cause = type(cause)(str(cause).replace(f"{top}.", f"{group}."))
        raise cause from error


def _checked(value: Any, path: str, fixed: Mapping[str, Any] | None = None) -> Any:
    """A value of a config with all descriptions of objects inside it checked."""
    if isinstance(value, list):
        return [_checked(item, f"{path}.{index}") for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    missing = [key for key, item in value.items() if item == "???"]
    if missing:
        raise ConfigError(f"Got no {path}.{missing[0]}, which has no default. Write {path}.{missing[0]}=VALUE.")
    inside = {key: _checked(item, f"{path}.{key}") for key, item in value.items()}
    if "_target_" not in value:
        return inside
    special = {key: item for key, item in inside.items() if key.startswith("_")}
    arguments = {key: item for key, item in inside.items() if key not in special}
    return special | checked_arguments(_parameters(special["_target_"], path), arguments, path, fixed or {})


def _parameters(target: str, path: str) -> Mapping[str, Parameter]:
    try:
        return inspect.signature(get_object(target)).parameters
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None)
        if missing in _EXTRAS:
            raise ConfigError(
                f"{path}._target_={target} needs the package {missing}, which is not installed. Install it with "
                f"pip install 'fewshot-text[{_EXTRAS[missing]}]'."
            ) from error
        raise ConfigError(f"Could not import {path}._target_={target}: {error}. Correct it.") from error
