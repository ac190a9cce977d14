"""The parts of `results.json` that tables and pages need."""

from collections.abc import Mapping
from typing import Any

from fewshot.tables.wording import short

_NUMBER = (int, float)
_LARGEST = 2**53  # of the numbers that JSON readers agree on
_SCORE = {"mean": _NUMBER, "ci95?": _NUMBER, "interval?": [_NUMBER]}
# Types, or the shape of an object or, in brackets, of the items of a list; what ends in ? may be absent or null.
_RESULTS: Mapping[str, Any] = {
    **dict.fromkeys(("task", "split", "learner", "episodes_sha256", "task_sha256"), str),
    **dict.fromkeys(("ways", "shots"), int),
    "encoder": {"model": str},
    "accuracy": _SCORE,
    "macro_f1": _SCORE,
    "ece": _NUMBER,
    "valid_accuracy?": _NUMBER,
    **dict.fromkeys(("label_names", "realistic"), bool),
    "support_noise": _NUMBER,
    **dict.fromkeys(("queries?", "seed?"), int),
    "strategy?": {"stage?": str, "final_stage?": str, "protocol?": str},
    "overrides?": [str],
    "command?": str,
}


def check_results(results: Any) -> None:
    """Raise a KeyError or a TypeError that names the first value that is no part of a `results.json`."""
    _check(results, _RESULTS, "")
    interval = results["accuracy"].get("interval")
    if interval is not None and len(interval) != 2:
        raise TypeError(f"accuracy.interval is {short(interval)}")


def _check(value: Any, shape: Any, name: str) -> None:
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            raise TypeError(f"{name or 'the content'} is no object")
        for key, inner in shape.items():
            plain = key.removesuffix("?")
            if key == plain or value.get(plain) is not None:
                _check(value[plain], inner, f"{name}.{plain}".lstrip("."))
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise TypeError(f"{name} is {short(value)}")
        for item in value:
            _check(item, shape[0], f"an item of {name}")
    elif not _is_of(value, shape):
        raise TypeError(f"{name} is {short(value)}")


def _is_of(value: Any, types: Any) -> bool:
    """True for a value of these types; true and false are no numbers, and neither is what JSON readers disagree on."""
    if isinstance(value, bool) or types is bool:
        return isinstance(value, bool) and types is bool
    return isinstance(value, types) and (isinstance(value, str) or abs(value) < _LARGEST)
