"""Texts and labels as users give them, made into a support of one label or of several."""

from collections.abc import Mapping
from typing import Any

from fewshot.episodes.columns import as_list
from fewshot.episodes.label_names import described_names
from fewshot.episodes.labelled import LabelledTexts
from fewshot.episodes.multi_labelled import MultiLabelledTexts, indicator_columns, is_indicator, label_sets
from fewshot.errors import TaskError


def support_of(
    texts: list[str],
    y: Any,
    label_names: Mapping[Any, str] | str | None = "auto",
    descriptions: Mapping[Any, str] | None = None,
    multi_label: bool | str = "auto",
) -> LabelledTexts | MultiLabelledTexts:
    """The support that some texts and their labels are.

    Args:
        texts: what is labelled.
        y: the label of each, or the labels of each, see `label_sets`.
        label_names, descriptions: see `described_names`.
        multi_label: see `label_sets`.

    Raises:
        ConfigError: `label_names` or `multi_label` is something else.
        TaskError: another number of labels than of texts, fewer than two labels, or one that is neither a string nor a
            whole number.
    """
    y = y if is_indicator(y) else as_list(y, "y")
    several = label_sets(y, multi_label)
    labels: list[Any] = y if several is None else several
    if len(texts) != len(labels):
        raise TaskError(f"Got {len(texts)} texts and {len(labels)} labels, expected one label for each text.")
    if several is None:
        return LabelledTexts.of(texts, labels, described_names(labels, label_names, descriptions))
    columns = indicator_columns(y) if is_indicator(y) else []
    known = dict.fromkeys([*columns, *(label for own in several for label in own)])
    return MultiLabelledTexts.of(texts, several, described_names(known, label_names, descriptions), columns)
