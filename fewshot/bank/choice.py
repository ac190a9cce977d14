"""Choose an adapter and its strength for a support by the likelihood of its texts, left out one at a time.

    p_c = normalize(sum of the unit features of the texts and the label name of class c)
    l_i = log softmax(scale * x_i . p / T)[c_i], where p of the own class c_i is without x_i

T is fitted for each encoder by itself. An adapter is taken if its mean gain over the published weights is larger than
two standard errors of that gain over texts: one is too few for the best of several.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.bank.adapter import StoredAdapter
from fewshot.bank.bank import Bank
from fewshot.bank.shelf import fitting_adapters
from fewshot.encoders import Encoder
from fewshot.encoders.shared import SharedModel
from fewshot.episodes.labelled import LabelledTexts
from fewshot.evaluation import fit_temperature
from fewshot.tasks.task import text_digests

log = logging.getLogger(__name__)

STRENGTHS = (0.25, 0.5, 1.0)
ERRORS = 2.0  # standard errors that a gain has to exceed
FEWEST = 4  # texts left out; with fewer the standard error means nothing
_MAX_TEXTS = 400  # of a support that are compared
_SEEN = 0.1  # share of texts above which an adapter has seen a support; fewer may be chance, such as greetings
_SCALE = 20.0


@dataclass(frozen=True)
class Chosen:
    """The chosen adapter, and the reason.

    Args:
        encoder: with the adapter at its strength, or as published.
        name: of the adapter; None is the published weights.
        strength: 0 for the published weights.
        gain: mean gain of the likelihood of a text left out, in nats, of the best adapter.
        standard_error: of the gain, over texts.
        n_texts: number of texts left out, one at a time.
    """

    encoder: Encoder
    name: str | None = None
    strength: float = 0.0
    gain: float = 0.0
    standard_error: float = math.nan
    n_texts: int = 0

    @property
    def sentence(self) -> str:
        """The choice and its reason, for a person to read."""
        if self.n_texts < FEWEST:
            return f"Too few texts to choose an adapter by ({self.n_texts}), so the published encoder stays as it is."
        if math.isnan(self.standard_error):
            return "There is no adapter to choose from, so the published encoder stays as it is."
        of = f"{self.gain:+.3f} nats a text left out, standard error {self.standard_error:.3f} over {self.n_texts}"
        if self.name is None:
            return f"No adapter is surely better than the published encoder (the best: {of})."
        return f"Adapter {self.name} at strength {self.strength:g}: {of}."

    def details(self) -> dict[str, Any]:
        """The choice as JSON can hold it."""
        gain = self.gain if math.isfinite(self.gain) else None
        error = None if math.isnan(self.standard_error) else self.standard_error
        values = {"name": self.name, "strength": self.strength, "gain": gain, "standard_error": error}
        return values | {"n_texts": self.n_texts, "sentence": self.sentence}


@dataclass(frozen=True)
class AdapterChoice:
    """Choose an adapter of a bank for a support.

    Args:
        encoder: as published.
        adapters: name → adapter; those that were trained on the support are no candidates.
        strengths: at which each is tried.

    Raises:
        ConfigError, EncoderError: an adapter that does not fit, see `Bank`.
    """

    encoder: Encoder
    adapters: Mapping[str, StoredAdapter]
    strengths: tuple[float, ...] = STRENGTHS

    @classmethod
    def of(cls, encoder: Encoder) -> "AdapterChoice | None":
        """A choice of the shipped adapters that fit a published encoder; None if there are none."""
        adapters = {} if encoder.trained is not None else fitting_adapters(encoder)
        return cls(encoder, adapters) if adapters else None

    @cached_property
    def _bank(self) -> Bank:
        """All candidates beside the weights of the encoder, which go through it in one batch."""
        return Bank(self.encoder, self.adapters)

    @cached_property
    def _merged(self) -> SharedModel:
        """The model of chosen encoders, whose adapters are merged, as in a saved classifier."""
        return SharedModel(self.encoder)

    def choose(self, support: LabelledTexts) -> Chosen:
        """The encoder that suits a support best, or the published one unless another is surely better."""
        sample, candidates = _thinned(support), self._candidates(support)
        evidence, n_texts = sample.with_names_as_texts(), len(sample.texts)
        n_scored = len(_left_out(evidence.classes, n_texts))
        if not candidates or n_scored < FEWEST:
            return Chosen(self.encoder, n_texts=n_scored)
        texts = list(evidence.texts)
        adapters = [adapter for adapter in (None, *candidates) for _ in texts]
        features = self._bank.encode(texts * (1 + len(candidates)), adapters).split(len(texts))
        before, *others = (left_out_likelihoods(part, evidence.classes, n_texts) for part in features)
        best = Chosen(self.encoder, gain=-math.inf)
        for (name, strength), likelihoods in zip(candidates, others, strict=True):
            gains = likelihoods - before
            gain, error = float(gains.mean()), float(gains.std()) / math.sqrt(n_scored)
            if gain > best.gain:
                best = Chosen(self.encoder, name, strength, gain, error, n_scored)
        if best.name is None or best.gain <= ERRORS * best.standard_error:
            return replace(best, name=None, strength=0.0)
        weights = self.adapters[best.name].at_strength(best.strength)
        return replace(best, encoder=self._merged.encoder(weights))

    def _candidates(self, support: LabelledTexts) -> list[tuple[str, float]]:
        digests = text_digests(support.texts)
        candidates = []
        for name, adapter in self.adapters.items():
            n_seen = adapter.weights.count_seen(digests)
            if n_seen > _SEEN * len(digests):
                log.info(f"The adapter {name} was trained on {n_seen} of these texts, so it is left out.")
            else:
                candidates += [(name, strength) for strength in self.strengths]
        return candidates


def left_out_likelihoods(
    features: Float[Tensor, "n_evidence dim"], classes: Int[Tensor, " n_evidence"], n_texts: int
) -> Float[Tensor, " n_left_out"]:
    """Log-likelihood of the class of each text by prototypes without it, in nats.

    Args:
        features: of the texts, and of label names behind them.
        classes: of both.
        n_texts: number of the texts; one that is all the evidence of its class is not scored.
    """
    unit = normalize(features, dim=-1)
    sums = torch.zeros(int(classes.max()) + 1, unit.shape[1]).index_add_(0, classes, unit)
    scored = _left_out(classes, n_texts)
    targets, left_out = classes[scored], unit[scored]
    logits = left_out @ normalize(sums, dim=-1).T
    without = (left_out * normalize(sums[targets] - left_out, dim=-1)).sum(-1, keepdim=True)
    logits = _SCALE * logits.scatter(1, targets[:, None], without)
    temperature = fit_temperature(logits[None], targets[None], label_smoothing=1 / (len(targets) + 2))
    return (logits.double() / temperature).log_softmax(-1).gather(1, targets[:, None])[:, 0]


def _left_out(classes: Int[Tensor, " n_evidence"], n_texts: int) -> Int[Tensor, " n_left_out"]:
    """Indices of the texts whose class has further evidence."""
    return (torch.bincount(classes)[classes[:n_texts]] > 1).nonzero().flatten()


def _thinned(support: LabelledTexts) -> LabelledTexts:
    """The first texts of each class, equally many and at least one, `_MAX_TEXTS` in all."""
    if len(support.texts) <= _MAX_TEXTS:
        return support
    each = max(1, _MAX_TEXTS // len(support.labels))
    indices = [(support.classes == label).nonzero().flatten()[:each] for label in range(len(support.labels))]
    return support.subset(torch.cat(indices).sort().values)
