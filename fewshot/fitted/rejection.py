"""Rejection of out-of-scope texts, by the closeness of a text to its class and to single texts, and a threshold.

    s(x) =  max_c [ cos(x, p_c) - a m_c ]  +  b mean_{j in NN(x)} [ cos(x, r_j) - d rho_j ]  -  e max_o cos(x, o)

The rows r are the labelled texts and the label names, p_c is the normalised mean of the rows of a class, NN(x) are the
k nearest rows. m_c is the mean cosine of a row of the class to the mean of the other rows of its class, rho_j that of
r_j to its own nearest rows: in a wide class, or a region with few texts, a text may be further away. m_c is shrunken
to that of all classes with the weight of `prior` rows. The last term is used only if out-of-scope texts o are given.

A labelled text is scored without its own row (leave one out), so that its score is that of a new text. Of n such
scores the threshold for a false-rejection rate is the floor(rate (n + 1))-th smallest: a new text whose scores are
exchangeable with them falls below it with a probability of at most that rate.

Terms and weights were chosen on held-out classes and on texts of other sources, and on clinc150's validation part;
`benchmarks/out_of_scope.py` has them beside other scores. They separate better than the largest logit, an energy and
prototypes, near and far; relative Mahalanobis distances are better on near texts and worse on far ones; plain ones and
nearest texts are the reverse. Weights learned by logistic regression on other tasks, and a background of general
phrases, add little.

Source: Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors", https://arxiv.org/abs/2204.06507;
Breunig et al. 2000, "LOF: Identifying Density-Based Local Outliers", for rho; Zhang et al. 2021, "Deep Open Intent
Classification with Adaptive Decision Boundary", https://arxiv.org/abs/2012.10209, for a border for each class;
for the quantile see `fewshot.evaluation.thresholds`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.errors import ConfigError
from fewshot.evaluation.thresholds import best_threshold, lower_quantile

# The letters of the formula.
NEAREST = 3  # k
OF_CLASS, PRIOR = 0.25, 3.0  # a, prior
LOCAL, OF_REGION = 1.0, 0.6  # b, d
AGAINST = 0.8  # e
FEW = 20  # out-of-scope texts; with fewer, the threshold depends on single ones
_CHUNK = 1024  # texts that are compared with all rows at once


@dataclass(frozen=True)
class EmbeddedSupport:
    """The support in the space of a classifier.

    Args:
        rows: unit vectors of the labelled texts, followed by those of the label names, in the classifier's space
            (`Classifier.metric`).
        classes: the class of each row, from 0.
        n_texts: number of rows that are texts; the others are label names.
    """

    rows: Float[Tensor, "n_rows dim"]
    classes: Int[Tensor, " n_rows"]
    n_texts: int


@dataclass(frozen=True)
class Rejection:
    """Scores of texts for being in scope; texts below a threshold are rejected.

    Args:
        prototypes: p_c.
        offsets: a m_c.
        rows: r.
        densities: d rho.
        out_of_scope: o, unit vectors, or None.
        threshold: texts with a lower score are rejected; minus infinity rejects none.
        details: the choice of the threshold, as JSON.
    """

    prototypes: Float[Tensor, "n_classes dim"]
    offsets: Float[Tensor, " n_classes"]
    rows: Float[Tensor, "n_rows dim"]
    densities: Float[Tensor, " n_rows"]
    out_of_scope: Float[Tensor, "n_out dim"] | None = None
    threshold: float = -math.inf
    details: Mapping[str, Any] = field(default_factory=dict)

    def scores(self, embedded: Float[Tensor, "n dim"]) -> Float[Tensor, " n"]:
        """Score of each text; higher for texts in scope, which mostly have 0.6 to 1.2.

        Args:
            embedded: vectors in the classifier's space, of any length.
        """
        parts = [self.scores_at_once(part) for part in embedded.split(_CHUNK)]
        return torch.cat(parts) if parts else embedded.new_zeros(0)

    def scores_at_once(self, embedded: Float[Tensor, "n dim"]) -> Float[Tensor, " n"]:
        """`scores` for few texts, by operations that do not depend on their number, as a traced graph needs."""
        unit = normalize(embedded, dim=-1)
        return self._in_scope(unit) - self._out_of_scope(unit)

    def rejected(self, embedded: Float[Tensor, "n dim"]) -> Bool[Tensor, " n"]:
        """True for rejected texts; argument as for `scores`."""
        return self.scores(embedded) < self.threshold

    @classmethod
    def at_rate(cls, support: EmbeddedSupport, rate: float) -> "Rejection":
        """Reject at most this share of in-scope texts, without out-of-scope texts.

        With fewer than `1 / rate - 1` labelled texts the rate cannot be guaranteed: no text is rejected, see
        `details["note"]`.

        Raises:
            ConfigError: the rate is not between 0 and 1.
        """
        if not 0 < rate < 1:
            raise ConfigError(
                f"Got a false-rejection rate of {rate!r}, expected a number between 0 and 1, such as 0.05."
            )
        rejection, scores, counted = _fitted(support, None)
        scores = scores[counted]
        details: dict[str, Any] = {"rate": rate, "n_texts": len(scores)}
        threshold = lower_quantile(scores, rate)
        if threshold == -math.inf:
            needed = math.ceil(1 / rate - 1 - 1e-9)
            details["note"] = (
                f"{len(scores)} texts of classes with others are too few for a false-rejection rate of {rate:g}, so "
                f"that none is rejected; it takes {needed}."
            )
        return replace(rejection, threshold=threshold, details=details)

    @classmethod
    def tuned_on(
        cls,
        support: EmbeddedSupport,
        out_of_scope: Float[Tensor, "n_out dim"],
        right: Bool[Tensor, " n_texts"] | None = None,
    ) -> "Rejection":
        """Score against out-of-scope texts too, with a threshold between them and the labelled texts.

        Args:
            support: of all classes.
            out_of_scope: texts that belong to no class, in that space.
            right: True for labelled texts that are classified correctly when held out; None: all of them.

        Raises:
            ConfigError: there are fewer than two out-of-scope texts.
        """
        if len(out_of_scope) < 2:
            raise ConfigError(
                f"Got {len(out_of_scope)} out-of-scope text, expected {FEW} or more. Add some, or give a "
                f"false-rejection rate such as 0.05 in their place."
            )
        rejection, scores, counted = _fitted(support, out_of_scope)
        right = torch.ones(support.n_texts, dtype=torch.bool) if right is None else right
        outside = rejection.scores_of_out_of_scope()
        threshold = best_threshold(scores[counted], right[counted], outside)
        details: dict[str, Any] = {"n_texts": int(counted.sum()), "n_out_of_scope": len(outside)}
        if len(outside) < FEW:
            details["note"] = f"{len(outside)} out-of-scope texts are few to choose a threshold by; {FEW} are better."
        return replace(rejection, threshold=threshold, details=details)

    def of(self, support: EmbeddedSupport) -> "Rejection":
        """The same threshold, or one for the same rate, for another support."""
        if "rate" in self.details:
            return Rejection.at_rate(support, self.details["rate"])
        plain = Rejection.without_threshold(support, self.out_of_scope)
        return replace(plain, threshold=self.threshold, details=self.details)

    @classmethod
    def without_threshold(
        cls, support: EmbeddedSupport, out_of_scope: Float[Tensor, "n_out dim"] | None = None
    ) -> "Rejection":
        """The scores alone, without rejecting any text; arguments as for `tuned_on`."""
        return _fitted(support, out_of_scope)[0]

    def scores_of_out_of_scope(self) -> Float[Tensor, " n_out"]:
        """Scores of the out-of-scope texts of this rejection, each against the others."""
        assert self.out_of_scope is not None
        others = (self.out_of_scope @ self.out_of_scope.T).fill_diagonal_(-math.inf).amax(1)
        in_scope = torch.cat([self._in_scope(part) for part in self.out_of_scope.split(_CHUNK)])
        return in_scope - AGAINST * others

    def described(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The rejection as JSON and tensors by name, see `from_described`."""
        names = ("prototypes", "offsets", "rows", "densities", "out_of_scope")
        tensors = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        threshold = self.threshold if math.isfinite(self.threshold) else None
        return {"threshold": threshold, "details": dict(self.details)}, tensors

    @classmethod
    def from_described(cls, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Rejection":
        """The rejection of `described`; a KeyError or TypeError if it is damaged."""
        threshold = description["threshold"]
        return cls(
            **tensors,
            threshold=-math.inf if threshold is None else float(threshold),
            details=dict(description["details"]),
        )

    def _in_scope(self, embedded: Tensor) -> Tensor:
        """The terms of the classes and of the nearest rows."""
        k = min(NEAREST, len(self.rows))
        nearest = (embedded @ self.rows.T).topk(k)
        local = (nearest.values - self.densities[nearest.indices]).mean(1)
        return (embedded @ self.prototypes.T - self.offsets).amax(1) + LOCAL * local

    def _out_of_scope(self, embedded: Tensor) -> Tensor:
        """The term of the out-of-scope texts."""
        if self.out_of_scope is None:
            return embedded.new_zeros(embedded.shape[0])
        return AGAINST * (embedded @ self.out_of_scope.T).amax(1)


def in_scope_scores(
    support: EmbeddedSupport, out_of_scope: Float[Tensor, "n_out dim"] | None = None
) -> Float[Tensor, " n_scored"]:
    """Leave-one-out scores of the labelled texts; the only row of a class has none."""
    _, scores, counted = _fitted(support, out_of_scope)
    return scores[counted]


def _fitted(support: EmbeddedSupport, out_of_scope: Tensor | None) -> tuple[Rejection, Tensor, Tensor]:
    """The parameters of the scores, the leave-one-out score of each labelled text, and True for texts that have one.

    A text that is the only row of its class has no score: without it there is no class.
    """
    rows, classes = normalize(support.rows.float(), dim=-1), support.classes
    n_classes = int(classes.max()) + 1
    sums = rows.new_zeros(n_classes, rows.shape[1]).index_add_(0, classes, rows)
    counts = torch.bincount(classes, minlength=n_classes)
    others = (rows * normalize(sums[classes] - rows, dim=-1)).sum(1)  # cosine to the other rows of the class
    counted = counts[classes] > 1
    mean = others[counted].mean() if counted.any() else others.new_zeros(())
    own = torch.where(counted, others, 0.0)
    totals = own.new_zeros(n_classes).index_add_(0, classes, own) + PRIOR * mean
    sizes = torch.where(counts > 1, counts, 0) + PRIOR
    values, indices = _neighbours(rows)
    k = min(NEAREST, values.shape[1])
    rejection = Rejection(
        prototypes=normalize(sums, dim=-1),
        offsets=OF_CLASS * totals / sizes,
        rows=rows,
        densities=OF_REGION * values[:, :k].mean(1),
        out_of_scope=None if out_of_scope is None else normalize(out_of_scope.float(), dim=-1),
    )
    texts = slice(support.n_texts)
    own_offset = OF_CLASS * ((totals[classes] - own) / (sizes[classes] - 1))[texts]
    own_class = (others[texts] - own_offset, classes[texts])
    scores = _leave_one_out(rejection, rows[texts], own_class, values, indices, k)
    return rejection, scores, counted[texts]


def _leave_one_out(
    rejection: Rejection, texts: Tensor, own_class: tuple[Tensor, Tensor], values: Tensor, indices: Tensor, k: int
) -> Tensor:
    """Leave-one-out scores of the texts, which are the first rows."""
    of_class = []
    for part, own, classes in zip(*(each.split(_CHUNK) for each in (texts, *own_class)), strict=True):
        closeness = part @ rejection.prototypes.T - rejection.offsets
        of_class.append(closeness.scatter_(1, classes[:, None], own[:, None]).amax(1))
    if not of_class:
        return texts.new_zeros(0)
    near = indices[: len(texts), :k]
    is_self = indices[near] == torch.arange(len(texts))[:, None, None]  # the text among the nearest of its nearest
    cosines = values[near]
    left_out = torch.where(is_self.any(-1), (cosines * is_self).sum(-1), cosines[..., -1])
    densities = (cosines.sum(-1) - left_out) / max(values.shape[1] - 1, 1)
    local = (values[: len(texts), :k] - OF_REGION * densities).mean(1)
    return torch.cat(of_class) + LOCAL * local - rejection._out_of_scope(texts)


def _neighbours(rows: Float[Tensor, "n dim"]) -> tuple[Float[Tensor, "n nearest"], Int[Tensor, "n nearest"]]:
    """Cosines and indices of the nearest other rows of each row, one more than the scores need."""
    n_nearest = min(NEAREST + 1, len(rows) - 1)
    values, indices = [], []
    for start in range(0, len(rows), _CHUNK):
        cosines = rows[start : start + _CHUNK] @ rows.T
        cosines[torch.arange(len(cosines)), start + torch.arange(len(cosines))] = -math.inf
        nearest = cosines.topk(n_nearest)
        values.append(nearest.values)
        indices.append(nearest.indices)
    return torch.cat(values), torch.cat(indices)
