"""Texts and labels as users hold them: lists, arrays, and columns of data frames."""

from typing import Any

import numpy as np

from fewshot.errors import TaskError


def as_list(values: Any, name: str) -> list[Any]:
    """Values of a list, an array or one column, as a list; TaskError, with `name`, for anything else."""
    if isinstance(values, (str, bytes)):
        raise TaskError(f"Got one text for {name}, expected a list of them. Write [{name}].")
    if values is None:
        raise TaskError(f"FewShotClassifier requires {name} to be passed, but the target {name} is None. Give a list.")
    if hasattr(values, "__array__") and not hasattr(values, "tolist"):
        values = np.asarray(values)
    shape = tuple(getattr(values, "shape", ()))
    if len(shape) == 2 and shape[1] == 1:
        values = np.asarray(values)[:, 0]
    elif len(shape) > 1:
        raise TaskError(f"Got {name} of shape {shape}, expected one column. Choose the column of the texts.")
    return values.tolist() if hasattr(values, "tolist") else list(values)
