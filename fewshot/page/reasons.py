"""The reasons for the wrong predictions of a page."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.adaptation.refit import HeldOut
from fewshot.episodes.labelled import LabelledTexts
from fewshot.fitted.evidence import Evidence
from fewshot.learners.learner import Classifier
from fewshot.page.answers import MOST_WRONG, Answers


def by_evidence(
    classifier: Classifier, evidence: Evidence, queries: Float[Tensor, "n dim"], predicted: Sequence[int]
) -> list[str]:
    """The labelled text, or the label name, that adds most to the score of each text's predicted label.

    Args:
        classifier: the fitted classifier.
        evidence: the texts and features that it was fitted to.
        queries: unit features of the texts.
        predicted: class of each text; a class that the classifier does not know gives an empty string.
    """
    support, n_texts = evidence.support.with_names_as_texts(), len(evidence.support.texts)
    known = [i for i, number in enumerate(predicted) if 0 <= number < len(evidence.support.labels)]
    reasons = [""] * len(predicted)
    if not known:
        return reasons
    with torch.no_grad():
        attribution = evidence.attribution(classifier)
        strongest = attribution.strongest(queries[known], [predicted[i] for i in known])
    for i, (row, weight) in zip(known, strongest, strict=True):
        kind = "label name" if row >= n_texts else f"text of {evidence.support.labels[int(support.classes[row])]}"
        reasons[i] = f"{weight:+.2f} from the {kind} “{support.texts[row]}”"
    return reasons


def by_folds(evidence: Evidence, held_out: HeldOut, answers: Answers) -> list[str]:
    """The reasons for the wrong texts that were held out, each by the classifier of its fold."""
    rows = {index: row for row, index in enumerate(held_out.places.tolist())}
    wrong, support, features = answers.wrong()[:MOST_WRONG], evidence.support, evidence.features
    assert isinstance(support, LabelledTexts)  # texts with several labels are not held out one by one
    reasons, first = dict[int, str](), 0
    for fold in held_out.folds:
        of_fold = [text for text in wrong if first <= rows[text.index] < first + fold.n_held]
        first += fold.n_held
        if of_fold:
            part = Evidence(
                support.subset(fold.rows[fold.rows < len(support.texts)]), features[fold.rows], evidence.learner
            )
            indices = [text.index for text in of_fold]
            found = by_evidence(fold.classifier, part, features[indices], [text.predicted_class for text in of_fold])
            reasons |= zip(indices, found, strict=True)
    return [reasons.get(text.index, "") for text in wrong]


def by_closest(
    answers: Answers,
    embedded: Float[Tensor, "n_texts dim"],
    rows: Float[Tensor, "n_rows dim"],
    classes: Int[Tensor, " n_rows"],
    texts: Sequence[str],
) -> list[str]:
    """The closest labelled text of the predicted label, for each wrong text.

    Args:
        answers: predictions, some of them wrong.
        embedded: unit features of `answers.texts`.
        rows, classes, texts: unit features, class and text of each labelled text; a text does not explain itself.
    """
    reasons, rows_of = [], dict[str, list[int]]()
    for row, text in enumerate(texts):
        rows_of.setdefault(text, []).append(row)
    for wrong in answers.wrong()[:MOST_WRONG]:
        cosines = (rows @ embedded[wrong.index]).masked_fill(classes != wrong.predicted_class, -2)
        cosines[rows_of.get(wrong.text, [])] = -2
        closest = int(cosines.argmax())
        cosine = float(cosines[closest])
        reasons.append(f"cosine {cosine:.2f} to the text “{texts[closest]}”" if cosine > -2 else "")
    return reasons
