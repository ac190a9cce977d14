"""From a composed config to objects: `_target_` and that constructor's arguments, at any depth."""

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from fewshot.cli.arguments import checked_arguments
from fewshot.errors import ConfigError, FewshotError

_EXTRAS = {"nlpaug": "augment", "nltk": "wordnet", "openai": "llm"}  # package → the extra that installs it
# Target and the setting that it stands at → what it takes.
ParametersOf = Callable[[str, str], Mapping[str, Parameter]]


def build(config: DictConfig, group: str, **fixed: Any) -> Any:
    """Make what a config group describes; mistakes come as they were raised, not wrapped by Hydra.

    Args:
        config: the composed config.
        group: its name, or the place of a description inside one, such as `adaptation.lora`.
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
    checked = checked_description(plain_values(described), group, _imported_parameters, fixed)
    try:
        return instantiate({**checked, "_convert_": "all"})
    except InstantiationException as error:
        if isinstance(error.__cause__, FewshotError):
            raise _placed(error.__cause__, group) from error
        raise


def plain_values(config: DictConfig) -> dict[str, Any]:
    """A config as plain Python, interpolations resolved."""
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def checked_description(
    values: Mapping[str, Any], place: str, parameters_of: ParametersOf, fixed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The description of an object, with all descriptions inside it checked.

    Args:
        values: `_target_` and the constructor's arguments.
        place: the setting that it stands at, for messages.
        parameters_of: what each target takes.
        fixed: arguments that are not the user's to choose.

    Raises:
        ConfigError: see `checked_arguments`; or a value is missing.
    """
    missing = [key for key, value in values.items() if value == "???"]
    if missing:
        raise ConfigError(f"Got no {place}.{missing[0]}, which has no default. Write {place}.{missing[0]}=VALUE.")
    special = {key: value for key, value in values.items() if key.startswith("_")}
    arguments = {
        key: _inside(value, f"{place}.{key}", parameters_of) for key, value in values.items() if key not in special
    }
    return special | checked_arguments(parameters_of(special["_target_"], place), arguments, place, fixed or {})


def _inside(value: Any, place: str, parameters_of: ParametersOf) -> Any:
    if isinstance(value, Mapping) and "_target_" in value:
        return checked_description(value, place, parameters_of)
    if isinstance(value, Mapping):
        return {key: _inside(item, f"{place}.{key}", parameters_of) for key, item in value.items()}
    if isinstance(value, list):
        return [_inside(item, f"{place}.{index}", parameters_of) for index, item in enumerate(value)]
    return value


def _placed(error: FewshotError, place: str) -> FewshotError:
    """What an object says of its settings knows their group, but not in which of its places the object stands."""
    group = place.partition(".")[0]
    return error if group == place else type(error)(str(error).replace(f"{group}.", f"{place}."))


def _imported_parameters(target: str, place: str) -> Mapping[str, Parameter]:
    try:
        return inspect.signature(get_object(target)).parameters
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None)
        if missing in _EXTRAS:
            raise ConfigError(
                f"{place}._target_={target} needs the package {missing}, which is not installed. Install it with "
                f"pip install 'fewshot-text[{_EXTRAS[missing]}]'."
            ) from error
        raise ConfigError(f"Could not import {place}._target_={target}: {error}. Correct it.") from error
