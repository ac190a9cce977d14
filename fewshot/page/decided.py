"""What decided on the wrong texts of a page."""

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
    classifier: Classifier, evidence: Evidence, queries: Float[Tensor, "n dim"], numbers: Sequence[int]
) -> list[str]:
    """For each text what adds most to the score of a label: a labelled text, or the label's name.

    Args:
        classifier, evidence: that was fitted, and to what.
        queries: unit features of the texts.
        numbers: the label of each; one that the classifier does not know gives an empty string.
    """
    everything, n_texts = evidence.support.with_names_as_texts(), len(evidence.support.texts)
    known = [place for place, number in enumerate(numbers) if 0 <= number < len(evidence.support.labels)]
    said = [""] * len(numbers)
    if not known:
        return said
    with torch.no_grad():
        attribution = evidence.attribution(classifier)
        found = attribution.strongest(queries[known], [numbers[place] for place in known])
    for place, (row, added) in zip(known, found, strict=True):
        kind = "label name" if row >= n_texts else f"text of {evidence.support.labels[int(everything.classes[row])]}"
        said[place] = f"{added:+.2f} from the {kind} “{everything.texts[row]}”"
    return said


def by_folds(evidence: Evidence, held: HeldOut, answers: Answers) -> list[str]:
    """The same for texts that were held out, each by the classifier of its fold."""
    rows = {place: row for row, place in enumerate(held.places.tolist())}
    wrong, support, features = answers.wrong()[:MOST_WRONG], evidence.support, evidence.features
    assert isinstance(support, LabelledTexts)  # texts with several labels are not held out one by one
    said, first = dict[int, str](), 0
    for fold in held.folds:
        own = [one for one in wrong if first <= rows[one.place] < first + fold.n_held]
        first += fold.n_held
        if own:
            part = Evidence(
                support.subset(fold.rows[fold.rows < len(support.texts)]), features[fold.rows], evidence.learner
            )
            queries = features[[one.place for one in own]]
            found = by_evidence(fold.classifier, part, queries, [one.number for one in own])
            said |= zip((one.place for one in own), found, strict=True)
    return [said.get(one.place, "") for one in wrong]


def by_closest(
    answers: Answers,
    embedded: Float[Tensor, "n_texts dim"],
    rows: Float[Tensor, "n_rows dim"],
    classes: Int[Tensor, " n_rows"],
    texts: Sequence[str],
) -> list[str]:
    """For each wrong text the closest labelled text of the label that it gets.

    Args:
        answers: whose wrong texts are meant.
        embedded: unit features of `answers.texts`.
        rows, classes, texts: unit features, class and text of what is labelled; a text does not explain itself.
    """
    found, same = [], dict[str, list[int]]()
    for place, text in enumerate(texts):
        same.setdefault(text, []).append(place)
    for one in answers.wrong()[:MOST_WRONG]:
        cosine = (rows @ embedded[one.place]).masked_fill(classes != one.number, -2)
        cosine[same.get(one.text, [])] = -2
        best = int(cosine.argmax())
        near = float(cosine[best])
        found.append(f"cosine {near:.2f} to the text “{texts[best]}”" if near > -2 else "")
    return found
