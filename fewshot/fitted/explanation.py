"""Which support texts and label name made the score of a label: contributions that add up to its logit.

Prototypes are weighted sums of evidence, and the rows of a tuned head lie in its span (the representer theorem,
Schoelkopf, Herbrich and Smola 2001): with the embedded evidence `E`, a row is `w = alpha E`, and the logit
`scale * z . w` is the sum of `scale * alpha_i (z . e_i)`. Of several `alpha` the shortest is taken.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewshot.learners.attention_prototypical import AttentionClassifier
from fewshot.learners.centroid import NearestPrototype
from fewshot.learners.learner import Classifier
from fewshot.learners.one_vs_rest import OneVsRest
from fewshot.learners.ridge import DualLinear

LabelOrLabels = str | int | tuple[str | int, ...]  # of a text

_SHOWN = 5


@dataclass(frozen=True)
class Contribution:
    """A piece of evidence and what it adds to the logit of the explained label."""

    text: str
    label: LabelOrLabels
    is_label_name: bool
    cosine: float
    weight: float


@dataclass(frozen=True)
class Explanation:
    """Why a text has its label.

    Args:
        text: the text.
        label: the label that is explained.
        probability: of this label.
        logit: its score, which the weights of `contributions` and `rest` add up to.
        contributions: all evidence, the largest weight first.
        rest: what no evidence accounts for: the bias of a label where texts have several; else 0 but for rounding where
            the score is linear in the evidence.
    """

    text: str
    label: str | int
    probability: float
    logit: float
    contributions: tuple[Contribution, ...]
    rest: float

    def __str__(self) -> str:
        lines = [f"{self.label!r} with a probability of {self.probability:.2f}, a score of {self.logit:.2f}:"]
        for one in self._shown():
            lines.append(f"  {one.weight:+7.2f}  {_kind(one)} {one.text!r} ({one.label!r}, cosine {one.cosine:.2f})")
        others = self.logit - sum(one.weight for one in self._shown())
        return "\n".join([*lines, f"  {others:+7.2f}  everything else"])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:right'>{one.weight:+.2f}</td><td>{html.escape(str(one.label))}</td>"
            f"<td>{html.escape(one.text)}{' <i>(label name)</i>' if one.is_label_name else ''}</td></tr>"
            for one in self._shown()
        )
        head = f"<b>{html.escape(str(self.label))}</b>, probability {self.probability:.2f}, score {self.logit:.2f}"
        columns = "<tr><th>weight</th><th>label</th><th>evidence</th></tr>"
        return f"<p>{head}: {html.escape(self.text)}</p><table>{columns}{rows}</table>"

    def _shown(self) -> Sequence[Contribution]:
        return sorted(self.contributions, key=lambda one: -abs(one.weight))[:_SHOWN]


def weights(
    classifier: Classifier,
    query: Float[Tensor, "1 dim"],
    evidence: Float[Tensor, "n_evidence dim"],
    classes: Int[Tensor, " n_evidence"] | Bool[Tensor, "n_evidence n_classes"],
    label: int,
) -> tuple[Float[Tensor, " n_evidence"], Float[Tensor, " n_evidence"]]:
    """What each piece of evidence adds to the logit of a label, and its cosine to the query.

    Args:
        classifier: of one episode.
        query: unit features of one text.
        evidence: unit features of the support texts, and of the label names behind them.
        classes: the class of each piece of evidence.
        label: the class whose logit is explained.
    """
    embedded, z = classifier.metric(evidence[None])[0], classifier.metric(query[None])[0, 0]
    cosine = embedded @ z
    return _added(classifier, query, cosine, coefficients(classifier, embedded), classes, label), cosine


def strongest(
    classifier: Classifier,
    queries: Float[Tensor, "n dim"],
    evidence: Float[Tensor, "n_evidence dim"],
    classes: Int[Tensor, " n_evidence"],
    labels: Sequence[int],
) -> list[tuple[int, float]]:
    """For each of many queries the piece of evidence that adds most to the logit of a label, and what it adds."""
    embedded, points = classifier.metric(evidence[None])[0], classifier.metric(queries[None])[0]
    shares = coefficients(classifier, embedded)
    found = []
    for query, point, label in zip(queries.split(1), points, labels, strict=True):
        added = _added(classifier, query, embedded @ point, shares, classes, label)
        found.append((int(added.argmax()), float(added.max())))
    return found


def _added(
    classifier: Classifier, query: Tensor, cosine: Tensor, shares: Tensor | None, classes: Tensor, label: int
) -> Float[Tensor, " n_evidence"]:
    """What each piece of evidence adds to the logit of a label."""
    if shares is not None:
        return shares[:, label] * cosine
    if isinstance(classifier, AttentionClassifier):
        return _attended(classifier, query, cosine, classes, label)
    own = (classes == label).to(cosine.dtype)
    share = (10 * cosine).softmax(0) * own
    return classifier.logits(query[None])[0, 0, label] * share / share.sum().clamp(min=1e-12)


def coefficients(
    classifier: Classifier, embedded: Float[Tensor, "n_evidence dim"]
) -> Float[Tensor, "n_evidence n_classes"] | None:
    """How much of each piece of evidence is in the row of each label; None if the logits are not linear in a query."""
    if isinstance(classifier, AttentionClassifier):
        return None
    if isinstance(classifier, NearestPrototype):
        return float(classifier.scale) * _shares(classifier.prototypes[0], embedded)
    if isinstance(classifier, DualLinear):
        return classifier.scale * _shares(classifier.coefficients[0].T @ classifier.support[0], embedded)
    if isinstance(classifier, OneVsRest):
        return _shares(classifier.weight[0], embedded)
    return None


def _shares(
    rows: Float[Tensor, "n_classes dim"], embedded: Float[Tensor, "n_evidence dim"]
) -> Float[Tensor, "n_evidence n_classes"]:
    """The smallest coefficients of the evidence whose weighted sums are some rows."""
    exact = embedded.double()
    inverse = torch.linalg.pinv(exact.T @ exact, hermitian=True, rtol=1e-9)
    return (exact @ (inverse @ rows.double().T)).to(rows.dtype)


def _attended(
    classifier: AttentionClassifier, query: Tensor, cosine: Tensor, classes: Tensor, label: int
) -> Float[Tensor, " n_evidence"]:
    """Attention times cosine, over the length of the query's own prototype."""
    attention = classifier.attention(query[None])[0, 0, label]
    places = (classes == label).nonzero().flatten()
    there = torch.isfinite(classifier.prior[0, label]).nonzero().flatten()
    found = torch.zeros_like(cosine)
    found[places] = attention[there] * cosine[places]
    logit = classifier.logits(query[None])[0, 0, label]
    return found * logit / found.sum()


def _kind(one: Contribution) -> str:
    return "label name" if one.is_label_name else "text"
