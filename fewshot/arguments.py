"""Values as a user writes them against the annotations of the constructor that gets them."""

import difflib
import inspect
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from fewshot.errors import ConfigError

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", types.NoneType: "null"}
_LISTS = {int: "a list of whole numbers such as [1,5]", float: "a list of numbers such as [0.1,0.5]"}


def checked_arguments(
    target: Callable[..., Any], values: Mapping[str, Any], group: str, **fixed: Any
) -> dict[str, Any]:
    """Arguments that a constructor or function can be called with; a number where a text goes becomes that text.

    Args:
        target: what will be called; its annotations are classes, not strings.
        values: name → value.
        group: stands before each name in messages.
        **fixed: arguments that are not the user's to choose.

    Returns:
        All arguments.

    Raises:
        ConfigError: one line for each name that `target` does not take, and each value of a wrong kind.

    Example:
        >>> def load(path: str, shots: int = 5): ...
        >>> checked_arguments(load, {"path": 2024, "shots": 1}, "task")
        {'path': '2024', 'shots': 1}
        >>> checked_arguments(load, {"path": "a", "shots": "five"}, "task")
        Traceback (most recent call last):
        fewshot.errors.ConfigError: Got task.shots='five', expected a whole number.
    """
    parameters = inspect.signature(target).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [f"{group}.{name}" for name in parameters if name not in fixed]
    result, problems = {}, []
    for name, value in values.items():
        if f"{group}.{name}" in known:
            annotation = parameters[name].annotation
            if _is_number(value) and not _fits(value, annotation) and _fits("", annotation):
                value = str(value)  # a folder called 2024, say
            elif type(value) is int and _fits(0.5, annotation) and not _fits(0, annotation):
                value = float(value)
            elif isinstance(value, list) and _fits([0.5], annotation) and not _fits([0], annotation):
                value = [float(item) if type(item) is int else item for item in value]
            if not _fits(value, annotation):
                problems.append(f"Got {group}.{name}={as_typed(value)}, expected {_expected(annotation)}.")
        elif not takes_any:
            problems.append(unknown_setting(f"{group}.{name}", known))
        result[name] = value
    if problems:
        raise ConfigError("\n".join(problems))
    return {**result, **fixed}


def unknown_setting(name: str, known: Collection[str]) -> str:
    """The sentence for a setting that does not exist, with near matches.

    Example:
        >>> unknown_setting("shotss", ["shots", "ways"])
        "There is no setting 'shotss'. Did you mean shots? Expected one of shots, ways."
    """
    ends = {setting.rpartition(".")[2]: setting for setting in known}
    near = difflib.get_close_matches(name.rpartition(".")[2], ends, n=3)
    hint = f" Did you mean {' or '.join(ends[end] for end in near)}?" if near else ""
    return f"There is no setting {name!r}.{hint} Expected one of {', '.join(known)}."


def as_typed(value: Any) -> str:
    """A value as it would be typed: null, true, 'five', 5."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)


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
