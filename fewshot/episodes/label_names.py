"""Label names given by the user, or read from labels that are words."""

from collections.abc import Iterable, Mapping
from typing import Any

from fewshot.episodes.labelled import readable
from fewshot.errors import ConfigError


def described_names(
    labels: Iterable[Any], label_names: Mapping[Any, str] | str | None, descriptions: Mapping[Any, str] | None = None
) -> dict[Any, str] | None:
    """Label → its name and description; None if names are not used.

    Args:
        labels: of the texts.
        label_names: label → name; `"auto"` reads them from the labels if all are words; None: descriptions alone.
        descriptions: label → a sentence.

    Raises:
        ConfigError: label names that are other words than `"auto"`.

    Example:
        >>> described_names(["lost_card", "balance"], "auto", {"balance": "what is on the account"})
        {'lost_card': 'lost card', 'balance': 'balance: what is on the account'}
    """
    descriptions = descriptions or {}
    if isinstance(label_names, str):
        if label_names != "auto":
            raise ConfigError(f"Got label_names={label_names!r}, expected a dict, 'auto' or None. Correct it.")
        words = {label: readable(str(label)) for label in dict.fromkeys([*labels, *descriptions])}
        label_names = words if all(words.values()) else None
    if label_names is None:
        return dict(descriptions) or None
    return {
        label: f"{name}: {descriptions[label]}" if label in descriptions else name
        for label, name in label_names.items()
    }
