"""What is told of a fit: `TextClassifier.details`."""

from collections.abc import Mapping
from typing import Any

_OF_THE_FIT = ("accuracy", "command", "out_of_fold")


def carried(details: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    """The details of a classifier that is made from a fitted one, by other texts or another encoder.

    Scores and the command stay behind: they are of the fit that made them.

    Args:
        details: of the fitted classifier.
        changed: details of the new one.
    """
    return {name: value for name, value in details.items() if name not in _OF_THE_FIT} | changed
