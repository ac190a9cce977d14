"""Make a support, with one label a text or several, from the user's texts and labels."""

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
    """The support of some texts and their labels.

    Args:
        texts: the texts.
        y: the label of each, or the labels of each, see `label_sets`.
        label_names, descriptions: see `described_names`.
        multi_label: see `label_sets`.

    Raises:
        ConfigError: `label_names` or `multi_label` is out of range.
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
    known = dict.fromkeys([*columns, *(label for row in several for label in row)])
    return MultiLabelledTexts.of(texts, several, described_names(known, label_names, descriptions), columns)
