"""The evidence of a classifier: its support, kept to explain predictions and to learn more."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.encoders import Encoder
from fewshot.episodes.label_sets import chosen_labels
from fewshot.episodes.labelled import LabelledTexts
from fewshot.episodes.multi_labelled import MultiLabelledTexts
from fewshot.features import unit_features
from fewshot.fitted.attribution import Attribution
from fewshot.fitted.explanation import Contribution, Explanation
from fewshot.learners.learner import Classifier, Learner
from fewshot.learners.saving import WRITTEN as LEARNER_FILES
from fewshot.learners.saving import read_learner, save_learner
from fewshot.storage import read_sealed, write_sealed

SUPPORT = "support.json"
WRITTEN = (SUPPORT, *LEARNER_FILES)
_FEATURES, _CLASSES = "evidence.features", "evidence.classes"


@dataclass(frozen=True)
class Evidence:
    """The support of a classifier, and its learner.

    Args:
        support: all labelled texts.
        features: unit features of the texts, followed by those of the label names if these are evidence.
        learner: the learner that adapted to the support.
    """

    support: LabelledTexts | MultiLabelledTexts
    features: Float[Tensor, "n_evidence dim"]
    learner: Learner

    def of(self, support: LabelledTexts | MultiLabelledTexts, encoder: Encoder) -> "Evidence":
        """The evidence of another support; texts that are in this one are not encoded again."""
        texts = support.with_names_as_texts().texts
        known = dict(zip(self.support.with_names_as_texts().texts, self.features, strict=True))
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= zip(new, unit_features(encoder, new), strict=True)
        return Evidence(support, torch.stack([known[text] for text in texts]), self.learner)

    def attribution(self, classifier: Classifier) -> Attribution:
        """The attribution of logits to this evidence, for a classifier that was fitted on it."""
        return Attribution(classifier, self.features, self.support.with_names_as_texts().classes)

    def explained(
        self,
        attribution: Attribution,
        query: Float[Tensor, "1 dim"],
        text: str,
        number: int,
        probability: float,
        logit: float,
    ) -> Explanation:
        """The explanation of the score of a class for a text, given its unit features."""
        with torch.no_grad():
            weighted = attribution.weigh(query, number)
        support = self.support.with_names_as_texts()
        labels = own_labels(support, weighted.indices)
        columns = (column.tolist() for column in (weighted.indices, weighted.cosines, weighted.weights))
        contributions = [
            Contribution(support.texts[index], label, index >= len(self.support.texts), cosine, weight)
            for label, index, cosine, weight in zip(labels, *columns, strict=True)
        ]
        contributions.sort(key=lambda piece: -piece.weight)
        rest = logit - sum(piece.weight for piece in contributions)
        return Explanation(text, self.support.labels[number], probability, logit, tuple(contributions), rest)


def own_labels(support: LabelledTexts | MultiLabelledTexts, rows: Int[Tensor, " n_rows"] | None = None) -> list[Any]:
    """The label of each text of a support, or of some rows; a tuple of labels if texts can have several."""
    classes = support.classes if rows is None else support.classes[rows]
    if isinstance(support, MultiLabelledTexts):
        return list(chosen_labels(support.labels, classes))
    return [support.labels[number] for number in classes.tolist()]


def write_evidence(folder: Path, evidence: Evidence, tensors: dict[str, Tensor]) -> None:
    """Write the support's texts and the learner, and add features and classes to the tensors to be written."""
    support = evidence.support
    tensors |= {_FEATURES: evidence.features, _CLASSES: support.classes}
    names = None if support.label_names is None else list(support.label_names)
    write_sealed(folder / SUPPORT, {"texts": list(support.texts), "labels": list(support.labels), "label_names": names})
    save_learner(evidence.learner, folder)


def read_evidence(folder: Path, tensors: dict[str, Tensor]) -> Evidence | None:
    """Read what `write_evidence` wrote, and take its tensors out of `tensors`; None if there is none."""
    if _FEATURES not in tensors:
        return None
    content = read_sealed(folder / SUPPORT)
    names = content["label_names"]
    classes = tensors.pop(_CLASSES)
    kind = MultiLabelledTexts if classes.dtype == torch.bool else LabelledTexts
    support = kind(
        [str(text) for text in content["texts"]],
        classes,
        tuple(content["labels"]),
        None if names is None else tuple(map(str, names)),
    )
    features, n_evidence = tensors.pop(_FEATURES), len(support.with_names_as_texts().texts)
    if len(features) != n_evidence:
        raise ValueError(f"there are features of {len(features)} texts and label names, expected {n_evidence}")
    learner = read_learner(folder)
    assert isinstance(learner, Learner)
    return Evidence(support, features, learner)
