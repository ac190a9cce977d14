"""The contribution of each piece of evidence to the logit of a label.

Prototypes are weighted sums of evidence, and the rows of a tuned head lie in its span (the representer theorem,
Schoelkopf, Herbrich and Smola 2001): with the embedded evidence `E`, a row is `w = alpha E`, and the logit
`scale * z . w` is the sum of `scale * alpha_i (z . e_i)`. Of several `alpha` the shortest is taken.

Attention, and an inner loop, are no such sums: there only the evidence of the label's own class counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewshot.fitted.neighbours import EXACT, Neighbours
from fewshot.learners.attention_prototypical import AttentionClassifier
from fewshot.learners.centroid import NearestPrototype
from fewshot.learners.learner import Classifier
from fewshot.learners.one_vs_rest import OneVsRest
from fewshot.learners.ridge import DualLinear
from fewshot.learners.span import CHUNK, inverse_gram

LISTED = 100  # nearest pieces of evidence that are weighed if there are more than `EXACT`


@dataclass(frozen=True)
class WeightedEvidence:
    """Indices of pieces of evidence, the contribution of each to a logit, and its cosine to the query."""

    indices: Int[Tensor, " n"]
    weights: Float[Tensor, " n"]
    cosines: Float[Tensor, " n"]


@dataclass(frozen=True)
class Attribution:
    """The evidence of a classifier, in its space.

    Args:
        classifier: of one episode.
        evidence: unit features of the support texts, followed by those of the label names.
        classes: the class of each piece of evidence, or its classes.
    """

    classifier: Classifier
    evidence: Float[Tensor, "n_evidence dim"]
    classes: Int[Tensor, " n_evidence"] | Bool[Tensor, "n_evidence n_classes"]

    def weigh(self, query: Float[Tensor, "1 dim"], label: int) -> WeightedEvidence:
        """The contributions of all evidence, or of the pieces nearest to the query, to the logit of a label.

        Args:
            query: unit features of one text.
            label: the class whose logit is explained.
        """
        point = self._embed(query)[0]
        if self._rows is None:
            return self._of_own_class(query, point, label)
        if len(self.evidence) <= EXACT:
            indices, embedded = torch.arange(len(self.evidence)), self._embedded
        else:
            indices = self._neighbours.nearest(point, LISTED)
            embedded = self._embed(self.evidence[indices])
        dual = self._inverse @ self._rows[label].double()
        cosines = embedded @ point
        return WeightedEvidence(indices, (embedded.double() @ dual).to(cosines.dtype) * cosines, cosines)

    def strongest(self, queries: Float[Tensor, "n dim"], labels: Sequence[int]) -> list[tuple[int, float]]:
        """Index and weight of the largest contribution to the logit of a label, for each query and its label."""
        strongest = []
        for query, label in zip(queries.split(1), labels, strict=True):
            weighted = self.weigh(query, label)
            best = int(weighted.weights.argmax())
            strongest.append((int(weighted.indices[best]), float(weighted.weights[best])))
        return strongest

    def _of_own_class(self, query: Tensor, point: Tensor, label: int) -> WeightedEvidence:
        indices = (self.classes == label).nonzero().flatten()
        cosines = self._embed(self.evidence[indices]) @ point
        if isinstance(self.classifier, AttentionClassifier):
            # Attention times cosine, over the length of the query's own prototype.
            present = torch.isfinite(self.classifier.prior[0, label])
            shares = self.classifier.attention(query[None])[0, 0, label, present] * cosines
            shares = shares / shares.sum()
        else:
            shares = (10 * cosines).softmax(0)
        weights = self.classifier.logits(query[None])[0, 0, label] * shares
        if len(self.evidence) > EXACT:
            return WeightedEvidence(indices, weights, cosines)
        all_weights = torch.zeros(len(self.evidence)).index_copy_(0, indices, weights)
        return WeightedEvidence(torch.arange(len(self.evidence)), all_weights, self._embedded @ point)

    def _embed(self, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n metric_dim"]:
        return self.classifier.metric(features[None])[0]

    @cached_property
    def _rows(self) -> Float[Tensor, "n_classes metric_dim"] | None:
        """The weight vector of each class in the logits; None if these are not linear in an embedded query."""
        classifier = self.classifier
        if isinstance(classifier, NearestPrototype):
            return float(classifier.scale) * classifier.prototypes[0]
        if isinstance(classifier, DualLinear):
            return classifier.scale * classifier.coefficients[0].T @ classifier.support[0]
        return classifier.weight[0] if isinstance(classifier, OneVsRest) else None

    @cached_property
    def _embedded(self) -> Float[Tensor, "n_evidence metric_dim"]:
        return self._embed(self.evidence)

    @cached_property
    def _inverse(self) -> Float[Tensor, "metric_dim metric_dim"]:
        return inverse_gram(self._embed(part) for part in self.evidence.split(CHUNK))

    @cached_property
    def _neighbours(self) -> Neighbours:
        return Neighbours(self.evidence, self._embed)
