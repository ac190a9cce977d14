"""From a composed config to objects: `_target_` and that constructor's arguments, at any depth."""

from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from fewshot.arguments import checked_arguments
from fewshot.errors import ConfigError, FewshotError

_EXTRAS = {"nlpaug": "augment", "nltk": "wordnet", "openai": "llm"}  # package → the extra that installs it


def build(config: DictConfig, group: str, **more: Any) -> Any:
    """Make what a config group describes; mistakes come as they were raised, not wrapped by Hydra.

    Args:
        config: the composed config.
        group: its name, or the place of a description inside one, such as `adaptation.lora`.
        **more: further arguments of the constructor.

    Raises:
        ConfigError: one line for each setting that a constructor does not take or that is of a wrong kind.
        FewshotError: what a constructor raises.
    """
    described = OmegaConf.select(config, group)
    if described is None:
        raise ConfigError(f"There is no {group}. Write {group}=NAME, and no ~{group}.")
    if not isinstance(described, DictConfig):
        raise ConfigError(f"Got {group}={described}, expected its settings, such as {group}.NAME=VALUE.")
    checked = _checked(plain_values(described), group, **more)
    try:
        return instantiate({**checked, "_convert_": "all"})
    except InstantiationException as error:
        if isinstance(error.__cause__, FewshotError):
            raise _placed(error.__cause__, group) from error
        raise


def _placed(error: FewshotError, place: str) -> FewshotError:
    """What an object says of its settings knows their group, but not in which of its places the object stands."""
    group = place.partition(".")[0]
    return error if group == place else type(error)(str(error).replace(f"{group}.", f"{place}."))


def plain_values(config: DictConfig) -> dict[str, Any]:
    """A config as plain Python, interpolations resolved."""
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _checked(values: Mapping[str, Any], name: str, **more: Any) -> dict[str, Any]:
    """The description of an object with all descriptions inside it checked; `name` is the setting it stands at."""
    missing = [key for key, value in values.items() if value == "???"]
    if missing:
        raise ConfigError(f"Got no {name}.{missing[0]}, which has no default. Write {name}.{missing[0]}=VALUE.")
    special = {key: value for key, value in values.items() if key.startswith("_")}
    arguments = {key: _inside(value, f"{name}.{key}") for key, value in values.items() if key not in special}
    return special | checked_arguments(_target(special["_target_"], name), arguments, name, **more)


def _inside(value: Any, name: str) -> Any:
    if isinstance(value, Mapping) and "_target_" in value:
        return _checked(value, name)
    if isinstance(value, Mapping):
        return {key: _inside(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_inside(item, f"{name}.{index}") for index, item in enumerate(value)]
    return value


def _target(target: str, name: str) -> Any:
    try:
        return get_object(target)
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None)
        if missing in _EXTRAS:
            raise ConfigError(
                f"{name}._target_={target} needs the package {missing}, which is not installed. Install it with "
                f"pip install 'fewshot-text[{_EXTRAS[missing]}]'."
            ) from error
        raise ConfigError(f"Could not import {name}._target_={target}: {error}. Correct it.") from error
