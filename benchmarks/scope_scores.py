"""Scores of how far a text is in scope, to compare with `fewshot.adaptation.rejection`, and how they separate."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.adaptation.refit import embedded, held_evidence
from fewshot.encoders import Encoder
from fewshot.episodes import LabelledTexts
from fewshot.fitted.rejection import EmbeddedSupport, Rejection
from fewshot.learners import Centroid
from fewshot.meta_model import MetaModel
from fewshot.text_classifier import TextClassifier


@dataclass(frozen=True)
class Fitted:
    """A classifier, and what it was fitted on."""

    classifier: TextClassifier
    support: LabelledTexts

    @classmethod
    def of(cls, encoder: Encoder, support: LabelledTexts, seed: int) -> "Fitted":
        """Tune a head."""
        model = MetaModel(encoder, Centroid(encoder.encode(support.texts[:1]).shape[1])).with_stage("head")
        return cls(model.with_evidence(model.adapt_to(support, seed), support), support)

    @cached_property
    def evidence(self) -> EmbeddedSupport:
        """The support's texts and label names."""
        return embedded(self.classifier.classifier, held_evidence(self.classifier))

    def texts(self, texts: Iterable[str]) -> "Texts":
        """Texts as the classifier sees them."""
        texts = list(texts)
        return Texts(self.classifier.embed(texts), self.classifier.logits(texts))


@dataclass(frozen=True)
class Texts:
    """Texts in a classifier's space, and their logits."""

    embedded: Tensor
    logits: Tensor


Score = Callable[[Fitted, Texts], Tensor]


def nearest(k: int) -> Score:
    """Mean cosine to the k nearest labelled texts."""
    return lambda fitted, texts: (
        (texts.embedded @ fitted.evidence.rows[: fitted.evidence.n_texts].T).topk(k).values.mean(1)
    )


def class_means(fitted: Fitted) -> Tensor:
    """Mean of the texts and the label name of each class."""
    rows, classes = fitted.evidence.rows, fitted.evidence.classes
    sums = rows.new_zeros(len(fitted.support.labels), rows.shape[1]).index_add_(0, classes, rows)
    return sums / torch.bincount(classes)[:, None]


def mahalanobis(fitted: Fitted, texts: Texts, relative: bool, shrinkage: float = 0.7) -> Tensor:
    """Minus the smallest squared distance to a class, with a shared covariance drawn to a multiple of the identity.

    `relative` takes away that to all texts (Ren et al. 2021, https://arxiv.org/abs/2106.09022).
    """
    rows, means = fitted.evidence.rows, class_means(fitted)

    def distances(residuals: Tensor, centres: Tensor) -> Tensor:
        covariance = residuals.T @ residuals / len(residuals)
        own = covariance.diagonal().mean() * torch.eye(len(covariance))
        factor = torch.linalg.cholesky((1 - shrinkage) * covariance + shrinkage * own)
        whitened = [torch.linalg.solve_triangular(factor, x.T, upper=False).T for x in (texts.embedded, centres)]
        return torch.cdist(*whitened).square().amin(1)

    score = -distances(rows - means[fitted.evidence.classes], means)
    return score + distances(rows - rows.mean(0), rows.mean(0)[None]) if relative else score


def names_of_others(fitted: Fitted, texts: Texts) -> Tensor:
    """The largest logit, less the closeness to label names of other classes."""
    others = (texts.embedded @ fitted.evidence.rows[fitted.evidence.n_texts :].T).clone()
    others.scatter_(1, texts.logits.argmax(1, keepdim=True), -1.0)
    return texts.logits.amax(1) / 20 - 0.5 * others.amax(1)


SCORES: dict[str, Score] = {
    "largest probability": lambda fitted, texts: (texts.logits / fitted.classifier.temperature).softmax(1).amax(1),
    "largest logit": lambda _, texts: texts.logits.amax(1),
    "energy": lambda fitted, texts: (texts.logits / fitted.classifier.temperature).logsumexp(1),
    "nearest text": nearest(1),
    "5 nearest texts": nearest(5),
    "prototypes": lambda fitted, texts: (texts.embedded @ normalize(class_means(fitted), dim=-1).T).amax(1),
    "Mahalanobis": lambda fitted, texts: mahalanobis(fitted, texts, relative=False),
    "relative Mahalanobis": lambda fitted, texts: mahalanobis(fitted, texts, relative=True),
    "names of other classes": names_of_others,
    "Rejection": lambda fitted, texts: Rejection.without_threshold(fitted.evidence).scores(texts.embedded),
}


def auroc(in_scope: Tensor, out_of_scope: Tensor) -> float:
    """Probability that an in-scope text scores higher than an out-of-scope one; half of it for ties."""
    ordered = out_of_scope.sort().values
    below = torch.searchsorted(ordered, in_scope) + torch.searchsorted(ordered, in_scope, right=True)
    return float(below.double().mean()) / 2 / len(ordered)


def fpr_at_recall(in_scope: Tensor, out_of_scope: Tensor, recall: float = 0.95) -> float:
    """Share of in-scope texts that are rejected where this share of the out-of-scope ones is."""
    return float((in_scope <= out_of_scope.double().quantile(recall)).double().mean())
