"""A cosine classifier on top of an encoder: one row per class, started from its prototype, and its tuning.

    z = projection(x / |x|)        logit_c(x) = exp(s) * z . w_c / |w_c|        w_c starts as the prototype p_c
    min_w  mean_c mean_{i in c} CE(logits(x_i), c) + l2 / n_classes * sum_c |w_c - p_c|^2

Features are computed once, so tuning takes seconds on a CPU. An L2 penalty keeps the rows near the prototypes;
cross-validation on the support chooses its weight `l2`, and whether to tune at all. The scale is not trained: on few
texts it grows without bound and takes the margin away (banking77, 77 classes, 5 texts each, texts not in the test
part: 80.1 % with a trained scale, 82.5 % with 20, 80.2 % by the prototypes).

Half a standard error is enough to tune: on texts outside of any test part (2 to 10 texts per class, three tasks, means
of 12 supports) that gains up to 0.7 points more than a whole one, 0.1 on average, and loses 0.1 in one of 32 places.
The worst support lost 1.6 points against its prototypes, and 1.1 with a whole standard error.

Source: Gidaris and Komodakis 2018, "Dynamic Few-Shot Visual Learning without Forgetting",
https://arxiv.org/abs/1804.09458 (a cosine classifier whose rows prototypes can stand in for); Qi et al. 2018, "Low-Shot
Learning with Imprinted Weights", https://arxiv.org/abs/1712.07136 (rows that start as normalised means).
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders import Encoder
from fewshot.episodes.labelled import LabelledTexts
from fewshot.evaluation import fit_temperature
from fewshot.features import TaskFeatures
from fewshot.learners import Classifier, Learner
from fewshot.learners.prototypical import ProjectedPrototype, Prototypical, ResidualProjection
from fewshot.learners.saving import frozen
from fewshot.ranges import NOT_NEGATIVE, POSITIVE, SHARE, Range, RangedSettings
from fewshot.text_classifier import TextClassifier


class CosineHead(nn.Module):
    """Scaled cosine to the rows, which start as given; the scale `exp(s)` is not trained."""

    temperature: Tensor
    log_scale: Tensor

    def __init__(self, projection: nn.Module, rows: Float[Tensor, "n_classes dim"], scale: float):
        super().__init__()
        self.projection = projection
        self.rows = nn.Parameter(rows.clone())
        self.register_buffer("log_scale", torch.tensor(math.log(scale)))
        self.register_buffer("temperature", torch.ones(()))

    def calibrate(self, logits: Float[Tensor, "n_held n_classes"], classes: Int[Tensor, " n_held"]) -> None:
        """Fit the temperature to logits of held-out texts; without texts it stays."""
        if len(logits):
            self.temperature.fill_(fit_temperature(logits[None], classes[None]))

    def classifier(self) -> Classifier:
        """The head as an immutable classifier of one episode."""
        with torch.no_grad():
            rows = normalize(self.rows, dim=-1)[None]
            return frozen(ProjectedPrototype(rows, self.log_scale.exp(), self.projection))

    def twin(self) -> "CosineHead":
        """A copy whose rows, and nothing else, are trained."""
        other = copy.deepcopy(self).requires_grad_(False)
        other.rows.requires_grad_(True)
        return other

    def embed(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Unit vectors in the space whose cosines count."""
        return self.projection(normalize(features, dim=-1))

    def forward(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch n_classes"]:
        """Logits, not yet divided by the temperature."""
        return self.of_embedded(self.embed(features))

    def of_embedded(self, embedded: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch n_classes"]:
        """Logits of embedded texts, see `embed`."""
        return self.log_scale.exp() * embedded @ normalize(self.rows, dim=-1).T


@dataclass(frozen=True)
class Comparison:
    """Accuracies of two classifiers on the same held-out texts, and the standard error of the paired difference.

    The second is selected on these texts (number of steps, interpolation, L2 penalty), so that its score is a little
    too good; a margin makes up for that.
    """

    before: float
    after: float
    standard_error: float
    n_texts: int

    @classmethod
    def of(cls, before: Bool[Tensor, " n_texts"], after: Bool[Tensor, " n_texts"]) -> "Comparison":
        """From the texts that each classifier has right."""
        if not len(before):
            return cls(0.0, 0.0, 0.0, 0)
        gains = after.double() - before.double()
        error = float(gains.std(unbiased=False)) / len(gains) ** 0.5
        return cls(float(before.double().mean()), float(after.double().mean()), error, len(gains))

    def pays(self, margin: float) -> bool:
        """True if the gain is at least `margin` standard errors, and more than `margin` texts.

        A tie keeps the first classifier. The second condition is for few texts: if a single one changes, the standard
        error is as small as the gain.
        """
        gain = self.after - self.before
        return gain >= margin * self.standard_error and round(gain * self.n_texts) > margin


@dataclass(frozen=True)
class HeadTuner(RangedSettings):
    """Tune the rows of a cosine classifier from prototypes on; keep them if they are better in a cross-validation.

    Args:
        l2_to_prototypes: weights of the penalty to choose from.
        folds: of the cross-validation; fewer if the largest class has fewer texts.
        margin: standard errors by which tuning has to beat the prototypes on texts held out.
        scale: factor from cosine to logit.
        centring: share of the mean over classes that is subtracted, if no learner brings a centre.
        iterations: of L-BFGS, at most.
    """

    l2_to_prototypes: Sequence[float] = (0.1, 1.0)
    folds: int = 4
    margin: float = 0.5
    scale: float = 20.0
    centring: float = 0.0
    iterations: int = 60

    GROUP: ClassVar[str] = "adaptation"
    RANGES: ClassVar[dict[str, Range]] = {
        **dict.fromkeys(("scale", "iterations"), POSITIVE),
        "margin": NOT_NEGATIVE,
        "folds": (lambda folds: folds >= 2, "2 or more"),
        "l2_to_prototypes": (lambda l2: len(l2) > 0 and min(l2) >= 0, "a list of numbers of 0 or more"),
        "centring": SHARE,
    }

    def splits(self, support: LabelledTexts, seed: int) -> list[tuple[Tensor, Tensor]]:
        """The folds of a support, (kept, held out) each; none if no class has two texts."""
        n_folds = min(self.folds, int(support.counts.max()))
        return support.folds(n_folds, seed) if n_folds > 1 else []

    def fit(
        self, encoder: Encoder, support: LabelledTexts, learner: Learner | None = None, seed: int = 0
    ) -> TextClassifier:
        """Tune a head on the encoder's features of the support.

        Args:
            encoder: is not changed.
            support: all labelled texts.
            learner: a meta-trained one, whose projection the head uses; None: no projection.
            seed: of the folds.

        Returns:
            The tuned classifier; that by prototypes if tuning does not pay; that by label names alone if there is no
            text. `details["stage"]` is `"head"`, `"prototypes"` or `"zero_shot"`.
        """
        features = encoder.encode(support.with_names_as_texts().texts)
        head, comparison, l2 = self.tuned(features, support, learner, seed)
        details = {
            "stage": "head" if l2 is not None else "prototypes" if len(support.texts) else "zero_shot",
            "l2_to_prototypes": l2,
            "held_out": vars(comparison),
        }
        return TextClassifier(encoder, head.classifier(), support.labels, float(head.temperature), details)

    def tuned(
        self, features: Float[Tensor, "n_all dim"], support: LabelledTexts, learner: Learner | None, seed: int
    ) -> tuple[CosineHead, Comparison, float | None]:
        """The head, its comparison with prototypes, and the weight of its penalty; None if the prototypes are kept.

        `features` are those of the support's texts, and of the label names behind them; other arguments as in `fit`.
        """
        splits = self.splits(support, seed)
        if not splits:
            return self.start(features, support, learner), Comparison(0.0, 0.0, 0.0, 0), None
        options: list[float | None] = [None, *self.l2_to_prototypes]
        logits: dict[float | None, list[Tensor]] = {option: [] for option in options}
        targets = []
        for kept, held_out in splits:
            part = torch.cat([kept, torch.arange(len(support.texts), len(features))])
            start = self.start(features[part], support.subset(kept), learner)
            targets.append(support.classes[held_out])
            for option in options:
                head = self.tune(start, features[part], support.subset(kept), option)
                with torch.no_grad():
                    logits[option].append(head(features[held_out]))
        target = torch.cat(targets)
        hits = {option: torch.cat(parts).argmax(1) == target for option, parts in logits.items()}
        best = max(self.l2_to_prototypes, key=lambda l2: int(hits[l2].sum()))
        comparison = Comparison.of(hits[None], hits[best])
        chosen = best if comparison.pays(self.margin) else None
        head = self.tune(self.start(features, support, learner), features, support, chosen)
        head.calibrate(torch.cat(logits[chosen]), target)
        return head, comparison, chosen

    def start(self, features: Tensor, support: LabelledTexts, learner: Learner | None) -> CosineHead:
        """The head with the prototypes of `Prototypical` as rows; arguments as in `tuned`.

        Its projection is that of a meta-trained learner, else one that subtracts `centring` of the mean over classes.
        """
        prototypical = Prototypical(features.shape[1], self.scale, self.centring)
        evidence = TaskFeatures(normalize(features, dim=-1)).support(support.with_names_as_texts().episode())
        trained = getattr(learner, "projection", None)
        if isinstance(trained, ResidualProjection) and not trained.is_identity:
            prototypical.projection = copy.deepcopy(trained)
        else:
            prototypical.prepare(evidence.mean()[0])
        prototypical.requires_grad_(False)
        return CosineHead(prototypical.projection, prototypical.adapt(evidence).prototypes[0], self.scale)

    def tune(self, start: CosineHead, features: Tensor, support: LabelledTexts, l2: float | None) -> CosineHead:
        """A head tuned from `start` on all given texts; `start` itself if `l2` is None."""
        if l2 is None:
            return start
        classes = support.with_names_as_texts().classes
        counts = torch.bincount(classes, minlength=len(start.rows))
        shares = 1 / counts[classes] / (counts > 0).sum()
        with torch.no_grad():
            embedded = start.embed(features)
        head = start.twin()
        optimiser = torch.optim.LBFGS([head.rows], max_iter=self.iterations, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimiser.zero_grad()
            losses = nn.functional.cross_entropy(head.of_embedded(embedded), classes, reduction="none")
            loss = (shares * losses).sum() + l2 * (head.rows - start.rows.detach()).square().sum() / len(head.rows)
            loss.backward()
            return loss

        with torch.enable_grad():
            optimiser.step(closure)
        return head.requires_grad_(False)
