"""Two ways to find whether tuning an encoder pays: hold a part of the support out once, or cross-validate."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewshot.adaptation.calibration import calibrate
from fewshot.adaptation.decision import Comparison
from fewshot.adaptation.head import CosineHead
from fewshot.adaptation.head_tuner import HeadTuner
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.adaptation.tuned_encoder import TunedEncoder, TuningSettings
from fewshot.encoders import Encoder
from fewshot.learners import Learner
from fewshot.processes import as_main
from fewshot.training import TrainingFiles


@dataclass(frozen=True)
class Tuned:
    """The result of a tuning.

    Args:
        comparison: of what was before with what was tuned, on texts held out of both.
        details: steps, shares and counts, as JSON can hold them.
        encoder: with the tuned weights; None where tuning does not pay.
        head: calibrated; None where tuning does not pay.
    """

    comparison: Comparison
    details: dict[str, Any]
    encoder: Encoder | None = None
    head: CosineHead | None = None


@dataclass(frozen=True)
class Tuning:
    """Copies of an encoder, tuned on parts of a support and compared on the rest.

    Args:
        settings: how they are tuned.
        margin: standard errors by which tuning has to win.
        encoder: is not changed.
        support: all that is labelled.
        learner: a meta-trained one, whose projection the head goes through.
        heads: makes heads.
        l2: weight of the penalty that the head before the encoder's tuning was tuned with; None is prototypes.
        seed: root seed.
    """

    settings: TuningSettings
    margin: float
    encoder: Encoder
    support: LabelledTexts
    learner: Learner | None
    heads: HeadTuner
    l2: float | None
    seed: int

    @cached_property
    def texts(self) -> list[str]:
        """The support's texts and the label names."""
        return list(self.support.with_names_as_texts().texts)

    @cached_property
    def features(self) -> Float[Tensor, "n_all dim"]:
        """Of the texts, by the encoder as it was given."""
        return self.encoder.encode(self.texts)

    def held_out_once(
        self,
        kept: Int[Tensor, " n_kept"],
        held: Int[Tensor, " n_held"],
        interpolation: Sequence[float],
        files: TrainingFiles | None = None,
    ) -> Tuned:
        """Tune on one part of the support, early stopping on the other.

        Args:
            kept: texts that are tuned on.
            held: the others.
            interpolation: shares of the way from before to after; the best one on the held-out texts is kept.
            files: where checkpoints and TensorBoard events go.
        """
        copy, texts = self._copy(kept), [self.support.texts[index] for index in held.tolist()]
        classes = self.support.classes[held]
        history = copy.run(lambda: _accuracy(copy.logits(texts), classes), files=files)
        before = self._logits(self.features, kept, held)
        details = {
            "steps": history.steps,
            "best_step": history.best_step,
            "curve": {str(step): accuracy for step, accuracy in history.valid_accuracies.items()},
            "trained": asdict(copy.encoder.trainable_share),
        }
        if not history.best_step:
            right = _hits(before, classes)
            return Tuned(Comparison.of(right, right), details | {"interpolation": 0.0})
        logits = {}
        for share in interpolation:
            copy.encoder.interpolate(share)
            logits[share] = self._logits(copy.encoder.compute(self.texts), kept, held)
        best = as_main(max(logits, key=lambda share: _accuracy(logits[share], classes)))
        copy.encoder.interpolate(best)
        comparison = Comparison.of(_hits(before, classes), _hits(logits[best], classes))
        details["interpolation"] = best
        if not as_main(comparison.pays(self.margin)):
            return Tuned(comparison, details)
        return self._tuned(copy, comparison, details, logits[best], classes)

    def cross_validated(self, folds: Sequence[tuple[Tensor, Tensor]]) -> Tuned:
        """Learn from copies tuned without a fold how many steps to take and whether they pay, then tune on all texts.

        Args:
            folds: texts that are kept, and those held out, of each fold.
        """
        n_names = len(self.texts) - len(self.support.texts)
        plan = self.settings.planned(min(len(kept) for kept, _ in folds) + n_names)
        curves = [self._curve(number, kept, held, plan) for number, (kept, held) in enumerate(folds, start=1)]
        n_evaluations = min(len(curve) for curve in curves)  # a tuning that diverges ends early
        logits = torch.cat([curve[:n_evaluations] for curve in curves], dim=1)
        before = torch.cat([self._logits(self.features, *fold) for fold in folds])
        classes = torch.cat([self.support.classes[held] for _, held in folds])
        right = (logits.argmax(-1) == classes).double().mean(1)
        best = as_main(int(right.argmax()))
        steps = [min(number * plan.evaluate_every, plan.steps) for number in range(len(right))]
        curve = {str(step): share for step, share in zip(steps, right.tolist(), strict=True)}
        details = {"folds": len(folds), "best_step": steps[best], "curve": curve}
        comparison = Comparison.of(_hits(before, classes), _hits(logits[best] if best else before, classes))
        if not as_main(comparison.pays(self.margin)):
            return Tuned(comparison, details)
        copy = self._copy(torch.arange(len(self.support.texts)), plan)
        copy.run(None, stop_at=steps[best])
        details["trained"] = asdict(copy.encoder.trainable_share)
        return self._tuned(copy, comparison, details, logits[best], classes)

    def _tuned(
        self, copy: TunedEncoder, comparison: Comparison, details: dict[str, Any], logits: Tensor, classes: Tensor
    ) -> Tuned:
        """The tuned encoder with a head made of all texts, calibrated on logits of texts that were held out."""
        encoder = copy.encoder.merged()
        head = self._head(encoder.encode(self.texts), torch.arange(len(self.support.texts)), self.l2)
        calibrate(head, logits, classes)
        return Tuned(comparison, details, encoder, head)

    def _copy(self, kept: Int[Tensor, " n_kept"], plan: TuningSettings | None = None) -> TunedEncoder:
        texts = self.support.subset(kept).with_names_as_texts()
        plan = plan or self.settings.planned(len(texts.texts))
        encoder = self.encoder.replace(cache=None)  # features tuned for one support are not worth a place on the disk
        return TunedEncoder(plan, encoder, self._head(self.features, kept, None), texts, self.seed)

    def _curve(
        self, number: int, kept: Int[Tensor, " n_kept"], held: Int[Tensor, " n_held"], plan: TuningSettings
    ) -> Float[Tensor, "n_evaluations n_held n_classes"]:
        """Logits of what is held out at each evaluation of a tuning that does not stop early."""
        seen: list[Tensor] = []
        copy = self._copy(kept, replace(plan, patience=plan.steps))

        def score() -> float:
            seen.append(self._logits(copy.encoder.compute(self.texts), kept, held))
            return _accuracy(seen[-1], self.support.classes[held])

        copy.run(score, title=f"Tuning without part {number}")
        return torch.stack(seen)

    def _logits(
        self, features: Float[Tensor, "n_all dim"], kept: Int[Tensor, " n_kept"], held: Int[Tensor, " n_held"]
    ) -> Float[Tensor, "n_held n_classes"]:
        """Logits of what is held out by a head made of the rest."""
        head = self._head(features, kept, self.l2)
        with torch.no_grad():
            return head(features[held])

    def _head(self, features: Float[Tensor, "n_all dim"], kept: Int[Tensor, " n_kept"], l2: float | None) -> CosineHead:
        """A head made of some texts and all label names; without a penalty that by prototypes."""
        names = torch.arange(len(self.support.texts), len(self.texts))
        part, chosen = self.support.subset(kept), features[torch.cat([kept, names])]
        return self.heads.tune(self.heads.start(chosen, part, self.learner), chosen, part, l2)


def _hits(logits: Float[Tensor, "n n_classes"], classes: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    return logits.argmax(-1) == classes


def _accuracy(logits: Float[Tensor, "n n_classes"], classes: Int[Tensor, " n"]) -> float:
    return float(_hits(logits, classes).double().mean())
