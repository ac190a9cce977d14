"""Attention-weighted prototypical network: every piece of evidence for a class gets its own weight.

Evidence e_cm for class c: its support texts, and its label name.  All are projected to the unit sphere and
rescaled, dimension by dimension, by an episode-dependent metric r.

    r_d      ~ exp(u . log([between_d, within_d] + 1e-4))          attention over feature dimensions, sum_d r_d = dim
    a_qcm    = softmax_m(prior_m + t_q cos(q, e_cm) + t_s agreement_cm)       attention over evidence, per query
    p_qc     = normalize(sum_m a_qcm e_cm)                logit_c(q) = exp(s) * q . p_qc

`between` and `within` are the variances of and around the class means of the support; `agreement` is the mean cosine
of a piece of evidence to the others of its class, which is low for a wrongly labelled text.
t_q and t_s multiply ten times a cosine.  The prior is 0 for support texts and `name + name_by_shots * log k` for the
label name; k counts the texts of a class.  With u, t_q, t_s and the prior at 0 (as they start) the attention is
uniform, and this is exactly `Prototypical`.

Source: Gao et al. 2019, "Hybrid Attention-Based Prototypical Networks for Noisy Few-Shot Relation Classification"
(query-conditioned attention over support, and feature attention from the support).  Theirs computes both
attentions with networks of their own; on a strong encoder those overfit the train classes, so ours are a handful
of scalars on statistics that mean the same in any class.  The query-conditioned prototypes are never formed: their
products with the query come from the Gram matrix of the evidence.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.learners.learner import Classifier, Support
from fewshot.learners.prototypical import ProjectedLearner
from fewshot.ranges import POSITIVE

# Cosines move over tenths, so the parameters that multiply them count in tens.
_COSINE_UNIT = 10.0
_VARIANCE_FLOOR = 1e-4
_PASS = 2**26  # products of queries and evidence that are held at once, 256 MiB


@dataclass(frozen=True)
class AttentionClassifier(Classifier):
    """Query-conditioned prototypes of a batch of episodes.

    The evidence is projected, rescaled and of unit length; `gram` holds its products within a class. The prior is -inf
    where there is no evidence. `dimension_scale` is the square root of the metric, `query_weight` is t_q.
    """

    evidence: Float[Tensor, "episodes n_way n_evidence dim"]
    gram: Float[Tensor, "episodes n_way n_evidence n_evidence"]
    prior: Float[Tensor, "episodes n_way n_evidence"]
    dimension_scale: Float[Tensor, "episodes 1 dim"]
    projection: nn.Module
    query_weight: Float[Tensor, ""]
    scale: Float[Tensor, ""]

    def logits(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Scaled cosine of each query to its own prototype of each class, for as many queries at once as fit."""
        size = max(1, _PASS // self.prior.numel())
        return torch.cat([self.logits_at_once(part) for part in query.split(size, dim=1)], dim=1)

    def logits_at_once(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """The same for all queries in one pass."""
        cosine = self._cosine(query)
        attention = self._weights(cosine)
        # [episodes, n_way, n_query, n_evidence]: one product per class gives every query's squared norm.
        by_class = attention.transpose(1, 2)
        squared_norm = ((by_class @ self.gram) * by_class).sum(-1).transpose(1, 2)
        return self.scale * (attention * cosine).sum(-1) / squared_norm.clamp(min=1e-12).sqrt()

    def attention(
        self, query: Float[Tensor, "episodes n_query dim"]
    ) -> Float[Tensor, "episodes n_query n_way n_evidence"]:
        """The weight of each piece of evidence for each query; support texts first, then the label name."""
        return self._weights(self._cosine(query))

    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n dim"]:
        """Projected and rescaled unit vectors."""
        return normalize(self.projection(features) * self.dimension_scale, dim=-1)

    def _cosine(self, query: Tensor) -> Tensor:
        products = self.metric(query) @ self.evidence.flatten(1, 2).mT
        return products.unflatten(-1, self.evidence.shape[1:3])

    def _weights(self, cosine: Tensor) -> Tensor:
        return (self.prior[:, None] + _COSINE_UNIT * self.query_weight * cosine).softmax(-1)


class AttentionPrototypical(ProjectedLearner):
    """Prototypes weighted by attention over evidence and over feature dimensions.

    Args:
        dim: number of features.
        scale: first value of `exp(s)`.
        centring: share of the train classes' mean that is taken away, see `ResidualProjection`.
        query_attention: condition the weights on the query.
        agreement_attention: weigh evidence by its agreement with the rest of its class.
        feature_attention: rescale dimensions by the episode's own variances.
    """

    title = "attention prototypes"
    RANGES = ProjectedLearner.RANGES | {"scale": POSITIVE}
    by_prototypes = True

    def __init__(
        self,
        dim: int,
        scale: float = 20.0,
        centring: float = 0.6,
        query_attention: bool = True,
        agreement_attention: bool = True,
        feature_attention: bool = True,
    ):
        super().__init__(
            dim,
            centring,
            scale=scale,
            query_attention=query_attention,
            agreement_attention=agreement_attention,
            feature_attention=feature_attention,
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.query_weight = nn.Parameter(torch.zeros(()), requires_grad=query_attention)
        self.agreement_weight = nn.Parameter(torch.zeros(()), requires_grad=agreement_attention)
        self.variance_weights = nn.Parameter(torch.zeros(2), requires_grad=feature_attention)
        self.name_prior = nn.Parameter(torch.zeros(2))  # constant, and per log k

    def adapt(self, support: Support) -> AttentionClassifier:
        """Project the evidence, and compute all that does not depend on the query."""
        prior = self._name_prior(support)
        shots = support.with_names_as_shots()
        evidence = self.projection(shots.features)
        scale = self._dimension_scale(evidence, shots.shares())
        evidence = normalize(evidence * scale[:, None], dim=-1) * shots.mask[..., None]
        gram = evidence @ evidence.mT
        prior = prior + _COSINE_UNIT * self.agreement_weight * _agreement(gram, shots)
        return AttentionClassifier(
            evidence=evidence,
            gram=gram,
            prior=prior.masked_fill(~shots.mask, -math.inf),
            dimension_scale=scale,
            projection=self.projection,
            query_weight=self.query_weight,
            scale=self.log_scale.exp(),
        )

    def _name_prior(self, support: Support) -> Float[Tensor, "episodes n_way n_evidence"]:
        shots = torch.zeros_like(support.mask, dtype=support.features.dtype)
        if support.label_names is None:
            return shots
        k = support.mask.sum(-1, keepdim=True).clamp(min=1)  # without texts there is nothing to weigh
        log_k = k.to(shots.dtype).log()
        return torch.cat([shots, self.name_prior[0] + self.name_prior[1] * log_k], dim=-1)

    def _dimension_scale(self, evidence: Tensor, shares: Tensor) -> Float[Tensor, "episodes 1 dim"]:
        weights = shares[..., None]
        means = (weights * evidence).sum(2)
        within = (weights * (evidence - means[:, :, None]).square()).sum(2).mean(1)
        between = means.var(1, unbiased=False)
        variances = torch.stack([between, within], dim=-1).add(_VARIANCE_FLOOR).log()
        attention = (variances @ self.variance_weights).softmax(-1)
        return (attention * evidence.shape[-1]).sqrt()[:, None]


def _agreement(gram: Tensor, shots: Support) -> Float[Tensor, "episodes n_way n_evidence"]:
    """Mean cosine of each piece of evidence to the others of its class; 0 where there are no others."""
    others = (shots.mask.sum(-1, keepdim=True) - shots.mask.long()).clamp(min=1).to(gram.dtype)
    return (gram.sum(-1) - gram.diagonal(dim1=-2, dim2=-1)) / others
