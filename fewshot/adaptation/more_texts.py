"""Add texts to a fitted classifier, or remove a label: refitted in milliseconds, with all decisions kept."""

from collections.abc import Mapping, Sequence
from typing import Any

from fewshot.adaptation.multi_label import MultiLabelTuner
from fewshot.adaptation.refit import held_evidence, refitted
from fewshot.episodes.label_names import described_names
from fewshot.episodes.labelled import LabelledTexts, as_known, readable
from fewshot.episodes.multi_labelled import MultiLabelledTexts
from fewshot.errors import ConfigError, TaskError
from fewshot.fitted.evidence import own_labels
from fewshot.text_classifier import TextClassifier


def with_texts(
    classifier: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[Any],
    label_names: Mapping[Any, str] | str | None = "auto",
    descriptions: Mapping[Any, str] | None = None,
) -> TextClassifier:
    """The classifier refitted with more texts, of its labels or of new ones.

    Args:
        classifier: with evidence.
        texts, labels: the label of each text, or with several labels a tuple of them.
        label_names, descriptions: of new labels, see `described_names`; for a classifier that goes by names.

    Raises:
        ConfigError: the classifier does not hold the texts that it was fitted on.
        TaskError: another number of labels than of texts.
    """
    if len(texts) != len(labels):
        raise TaskError(f"Got {len(texts)} texts and {len(labels)} labels, expected one label for each text.")
    old = held_evidence(classifier).support
    if isinstance(old, LabelledTexts):
        labels = as_known(labels, old.labels)
    else:
        labels = [tuple(as_known(several, old.labels)) for several in labels]
    all_labels = [*own_labels(old), *labels]
    names = None
    if old.label_names is not None:
        names = dict(zip(old.labels, old.label_names, strict=True))
        flat = all_labels if isinstance(old, LabelledTexts) else [label for several in all_labels for label in several]
        given = described_names(flat, label_names, descriptions) or {}
        new = [label for label in dict.fromkeys(flat) if label not in names]
        names |= {label: given.get(label, readable(str(label))) for label in new}
    return _refitted(classifier, [*old.texts, *texts], all_labels, names)


def without_label(classifier: TextClassifier, label: Any) -> TextClassifier:
    """The classifier without a label and the texts that have no other.

    Raises:
        ConfigError: there is no such label, or the classifier does not hold the texts that it was fitted on.
    """
    old = held_evidence(classifier).support
    if label not in old.labels:
        raise ConfigError(f"Got the label {label!r}, expected one of {list(old.labels)}. Correct it.")
    pairs = zip(old.texts, own_labels(old), strict=True)
    kept = [(text, labels) for text, labels in pairs if labels not in (label, (label,))]
    labels: list[Any] = [labels for _, labels in kept]
    if isinstance(old, MultiLabelledTexts):
        labels = [tuple(other for other in several if other != label) for several in labels]
    names = None
    if old.label_names is not None:
        names = {other: name for other, name in zip(old.labels, old.label_names, strict=True) if other != label}
    return _refitted(classifier, [text for text, _ in kept], labels, names)


def _refitted(
    classifier: TextClassifier, texts: Sequence[str], labels: Sequence[Any], names: Mapping[Any, str] | None
) -> TextClassifier:
    texts = classifier.masked(list(texts))
    with classifier.encoder.cuts_reported(texts):
        if classifier.thresholds is None:
            return refitted(classifier, LabelledTexts.of(texts, labels, names))
        return MultiLabelTuner().refit(classifier, MultiLabelledTexts.of(texts, labels, names))
