"""Values as a user types them, checked against the annotations of the constructor that gets them."""

import difflib
import math
import types
from collections.abc import Collection, Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from fewshot.errors import ConfigError, as_typed

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", types.NoneType: "null"}
_LISTS = {int: "a list of whole numbers such as [1,5]", float: "a list of numbers such as [0.1,0.5]"}
_MAX_INT = 2**63
_MAY_BE_NEGATIVE = ("margin", "cosine")  # endings of names


def checked_arguments(
    parameters: Mapping[str, Parameter], values: Mapping[str, Any], group: str, fixed: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments that a constructor or function can be called with; a number where a text goes becomes that text.

    Args:
        parameters: its parameters by name; annotations are classes, not strings.
        values: name → value.
        group: stands before each name in messages.
        fixed: arguments that are not the user's to choose.

    Raises:
        ConfigError: one line for each name that is not taken, and each value of a wrong kind or below 0.

    Example:
        >>> from inspect import signature
        >>> def load(path: str, shots: int = 5): ...
        >>> checked_arguments(signature(load).parameters, {"path": "a", "shots": "five"}, "task", {})
        Traceback (most recent call last):
        fewshot.errors.ConfigError: Got task.shots='five', expected a whole number.
    """
    takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [f"{group}.{name}" for name in parameters if name not in fixed]
    result, problems = dict(values), []
    for name, value in values.items():
        setting = f"{group}.{name}"
        if setting in known:
            annotation = parameters[name].annotation
            result[name] = value = _converted(value, annotation)
            if not _fits(value, annotation):
                problems.append(f"Got {setting}={as_typed(value)}, expected {_expected(annotation)}.")
            else:
                problems += below_zero(setting, value)
        elif not takes_any:
            problems.append(unknown_setting(setting, known))
    if problems:
        raise ConfigError("\n".join(problems))
    return {**result, **fixed}


def below_zero(setting: str, value: Any) -> list[str]:
    """The sentence on a number below 0, if it is one; only margins and cosines may be negative."""
    valid = not _is_number(value) or not value < 0 or setting.endswith(_MAY_BE_NEGATIVE)  # NaN passes
    return [] if valid else [f"Got {setting}={as_typed(value)}, expected 0 or more."]


def near_matches(name: str, known: Collection[str]) -> str:
    """A question that offers similar names; empty if there are none."""
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
    """The first reading of a value that fits, or the value itself: a folder called 2024 is a text, 1 is 1.0."""
    readings = [value]
    if _is_number(value):
        readings += [str(value), _as_float(value)]
    elif isinstance(value, list):
        readings.append([_as_float(item) if type(item) is int else item for item in value])
    return next((reading for reading in readings if _fits(reading, annotation)), value)


def _fits(value: Any, annotation: Any) -> bool:
    kind, inner = get_origin(annotation) or annotation, get_args(annotation)
    if kind in (Union, types.UnionType):
        return any(_fits(value, option) for option in inner)
    if kind is Literal:
        return value in inner
    if kind in (Sequence, list, tuple):
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        return is_list and all(_fits(item, inner[0]) for item in value if inner)
    if kind is int:
        return type(value) is int and abs(value) < _MAX_INT
    return kind not in (*_WORDS, Path) or isinstance(value, str if kind is Path else kind)


def _expected(annotation: Any) -> str:
    kind, inner = get_origin(annotation) or annotation, get_args(annotation)
    if kind in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_expected, inner)))
    if kind is Literal:
        return " or ".join(map(str, inner))
    if kind in (Sequence, list, tuple):
        if inner and get_origin(inner[0]) is Literal:
            return f"a list of some of {', '.join(map(str, get_args(inner[0])))}"
        return _LISTS.get((*inner, None)[0], "a list such as [a,b]")
    return _WORDS.get(kind, "a text")


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # of an integer
        return math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
