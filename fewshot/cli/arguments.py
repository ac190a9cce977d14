"""Values as a user writes them against the annotations of the constructor that gets them."""

import difflib
import types
from collections.abc import Collection, Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from fewshot.errors import ConfigError, as_typed

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", types.NoneType: "null"}
_LISTS = {int: "a list of whole numbers such as [1,5]", float: "a list of numbers such as [0.1,0.5]"}
_MAY_BE_NEGATIVE = ("margin", "cosine")  # endings of names


def checked_arguments(
    parameters: Mapping[str, Parameter], values: Mapping[str, Any], group: str, fixed: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments that a constructor or function can be called with; a number where a text goes becomes that text.

    Args:
        parameters: what it takes, by name; annotations are classes, not strings.
        values: name → value.
        group: stands before each name in messages.
        fixed: arguments that are not the user's to choose.

    Returns:
        All arguments.

    Raises:
        ConfigError: one line for each name that is not taken, and each value of a wrong kind or below 0.

    Example:
        >>> from inspect import signature
        >>> def load(path: str, shots: int = 5): ...
        >>> checked_arguments(signature(load).parameters, {"path": 2024, "shots": 1}, "task", {})
        {'path': '2024', 'shots': 1}
        >>> checked_arguments(signature(load).parameters, {"path": "a", "shots": "five"}, "task", {})
        Traceback (most recent call last):
        fewshot.errors.ConfigError: Got task.shots='five', expected a whole number.
    """
    takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [f"{group}.{name}" for name in parameters if name not in fixed]
    result, problems = {}, []
    for name, value in values.items():
        if f"{group}.{name}" in known:
            annotation = parameters[name].annotation
            value = _converted(value, annotation)
            if not _fits(value, annotation):
                problems.append(f"Got {group}.{name}={as_typed(value)}, expected {_expected(annotation)}.")
            elif _is_below(value, parameters[name]):
                problems.append(f"Got {group}.{name}={as_typed(value)}, expected 0 or more.")
        elif not takes_any:
            problems.append(unknown_setting(f"{group}.{name}", known))
        result[name] = value
    if problems:
        raise ConfigError("\n".join(problems))
    return {**result, **fixed}


def near_matches(name: str, known: Collection[str]) -> str:
    """A question that offers what was meant, or nothing."""
    ends = {setting.rpartition(".")[2]: setting for setting in known}
    near = difflib.get_close_matches(name.rpartition(".")[2], ends, n=3)
    return f" Did you mean {' or '.join(ends[end] for end in near)}?" if near else ""


def unknown_setting(name: str, known: Collection[str]) -> str:
    """The sentence for a setting that does not exist, with near matches.

    Example:
        >>> unknown_setting("shotss", ["shots", "ways"])
        "There is no setting 'shotss'. Did you mean shots? Expected one of shots, ways."
    """
    return f"There is no setting {name!r}.{near_matches(name, known)} Expected one of {', '.join(known)}."


def _converted(value: Any, annotation: Any) -> Any:
    if _is_number(value) and not _fits(value, annotation) and _fits("", annotation):
        return str(value)  # a folder called 2024, say
    if type(value) is int and _fits(0.5, annotation) and not _fits(0, annotation):
        return float(value)
    if isinstance(value, list) and _fits([0.5], annotation) and not _fits([0], annotation):
        return [float(item) if type(item) is int else item for item in value]
    return value


def _is_below(value: Any, parameter: Parameter) -> bool:
    """Whether a number is below 0 where the default is not."""
    sensible = parameter.name.endswith(_MAY_BE_NEGATIVE) or not _is_number(parameter.default) or parameter.default < 0
    return not sensible and _is_number(value) and value < 0


def _fits(value: Any, annotation: Any) -> bool:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in inner)
    if origin is Literal:
        return value in inner
    if annotation in (None, types.NoneType):
        return value is None
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (bool, float, str):
        return isinstance(value, annotation)
    if annotation is Path:
        return isinstance(value, str)
    if _is_sequence(annotation):
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        return is_list and all(_fits(item, inner[0]) for item in value if inner)
    return True


def _expected(annotation: Any) -> str:
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_expected(option) for option in get_args(annotation)))
    if get_origin(annotation) is Literal:
        return " or ".join(map(str, get_args(annotation)))
    if _is_sequence(annotation) and get_args(annotation) and get_origin(get_args(annotation)[0]) is Literal:
        return f"a list of some of {', '.join(map(str, get_args(get_args(annotation)[0])))}"
    if _is_sequence(annotation):
        return _LISTS.get((*get_args(annotation), None)[0], "a list such as [a,b]")
    return _WORDS.get(annotation, "a text")


def _is_sequence(annotation: Any) -> bool:
    return (get_origin(annotation) or annotation) in (Sequence, list, tuple)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
