"""The two ways to tell whether tuning an encoder pays: hold a part of the support out once, or cross-validate."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewshot.adaptation.calibration import calibrate
from fewshot.adaptation.decision import Comparison
from fewshot.adaptation.head import CosineHead
from fewshot.adaptation.head_tuner import HeadTuner
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.adaptation.tuned_copy import TunedCopy
from fewshot.encoders import Encoder
from fewshot.learners import Learner
from fewshot.processes import as_main
from fewshot.training import TrainingFiles

if TYPE_CHECKING:
    from fewshot.adaptation.fine_tuner import FineTuner


@dataclass(frozen=True)
class Tuned:
    """What a tuning found.

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


class Tuning:
    """One call of `FineTuner.fit`.

    Args:
        settings: of it.
        encoder: what is tuned a copy of.
        support: all that is labelled.
        learner: a meta-trained one, whose projection the head goes through.
        heads: makes heads.
        pull: that the head before the encoder's tuning was tuned with; None is prototypes.
        seed: root seed.
    """

    def __init__(
        self,
        settings: FineTuner,
        encoder: Encoder,
        support: LabelledTexts,
        learner: Learner | None,
        heads: HeadTuner,
        pull: float | None,
        seed: int,
    ):
        self.settings, self.support, self.learner = settings, support, learner
        # What is tuned for one support is not worth a place on the disk.
        self.encoder = encoder.replace(trainable=settings.trainable, cache=None)
        self.heads, self.pull, self.seed = heads, pull, seed
        self.texts = list(support.with_names_as_texts().texts)
        self.features = encoder.encode(self.texts)

    def held_out_once(self, files: TrainingFiles | None = None) -> Tuned:
        """Tune with a share of each class held out; what was best on it is kept."""
        [(kept, held)] = self.settings.splits(self.support, self.seed)
        copy, texts = self._copy(kept), [self.support.texts[index] for index in held.tolist()]
        classes = self.support.classes[held]
        history = copy.run(lambda: _accuracy(copy.logits(texts), classes), files=files)
        before = self._logits(self.features, kept, held)
        details = {
            "steps": history.steps,
            "best_step": history.best_step,
            "curve": {str(step): accuracy for step, accuracy in history.valid_accuracies.items()},
            "trained": asdict(copy.trainable.trainable_share),
        }
        if not history.best_step:
            right = _hits(before, classes)
            return Tuned(Comparison.of(right, right), details | {"interpolation": 0.0})
        logits = {}
        for share in self.settings.interpolation:
            copy.trainable.interpolate(share)
            logits[share] = self._logits(copy.trainable.compute(self.texts), kept, held)
        best = as_main(max(logits, key=lambda share: _accuracy(logits[share], classes)))
        copy.trainable.interpolate(best)
        comparison = Comparison.of(_hits(before, classes), _hits(logits[best], classes))
        details["interpolation"] = best
        if not as_main(comparison.pays(self.settings.margin)):
            return Tuned(comparison, details)
        return self._tuned(copy, comparison, details, logits[best], classes)

    def cross_validated(self, n_folds: int) -> Tuned:
        """Ask models tuned without a fold how many steps to take and whether they pay, then tune on everything."""
        folds = self.support.folds(n_folds, self.seed)
        n_names = len(self.texts) - len(self.support.texts)
        plan = self.settings.planned(min(len(kept) for kept, _ in folds) + n_names)
        curves = [self._curve(number, *fold, plan) for number, fold in enumerate(folds, start=1)]
        looks = min(len(curve) for curve in curves)  # one that diverges ends early
        logits = torch.cat([curve[:looks] for curve in curves], dim=1)
        before = torch.cat([self._logits(self.features, *fold) for fold in folds])
        classes = torch.cat([self.support.classes[held] for _, held in folds])
        right = (logits.argmax(-1) == classes).double().mean(1)
        best = as_main(int(right.argmax()))
        steps = [min(look * plan.evaluate_every, plan.steps) for look in range(len(right))]
        curve = {str(step): share for step, share in zip(steps, right.tolist(), strict=True)}
        details = {"folds": n_folds, "best_step": steps[best], "curve": curve}
        comparison = Comparison.of(_hits(before, classes), _hits(logits[best] if best else before, classes))
        if not as_main(comparison.pays(self.settings.margin)):
            return Tuned(comparison, details)
        copy = self._copy(torch.arange(len(self.support.texts)), replace(plan, patience=0))
        # The scores of the looks rise up to the step that was best, so the loop ends with the weights of that step.
        scores = itertools.chain(range(best + 1), itertools.repeat(-1))
        copy.run(lambda: float(next(scores)))
        details["trained"] = asdict(copy.trainable.trainable_share)
        return self._tuned(copy, comparison, details, logits[best], classes)

    def _tuned(
        self, copy: TunedCopy, comparison: Comparison, details: dict[str, Any], logits: Tensor, classes: Tensor
    ) -> Tuned:
        """The tuned encoder with a head made of all texts, calibrated on logits of texts that were held out."""
        encoder = copy.trainable.merged()
        head = self._head(encoder.encode(self.texts), torch.arange(len(self.support.texts)), self.pull)
        calibrate(head, logits, classes)
        return Tuned(comparison, details, encoder, head)

    def _copy(self, kept: Int[Tensor, " n_kept"], plan: FineTuner | None = None) -> TunedCopy:
        texts = self.support.subset(kept).with_names_as_texts()
        plan = plan or self.settings.planned(len(texts.texts))
        return TunedCopy(plan, self.encoder, self._head(self.features, kept, None), texts, self.seed)

    def _curve(
        self, number: int, kept: Int[Tensor, " n_kept"], held: Int[Tensor, " n_held"], plan: FineTuner
    ) -> Float[Tensor, "n_looks n_held n_classes"]:
        """Logits of what is held out at each look of a tuning that does not stop early."""
        seen: list[Tensor] = []
        copy = self._copy(kept, replace(plan, patience=plan.steps))

        def look() -> float:
            seen.append(self._logits(copy.trainable.compute(self.texts), kept, held))
            return _accuracy(seen[-1], self.support.classes[held])

        copy.run(look, title=f"Tuning without part {number}")
        return torch.stack(seen)

    def _logits(
        self, features: Float[Tensor, "n_all dim"], kept: Int[Tensor, " n_kept"], held: Int[Tensor, " n_held"]
    ) -> Float[Tensor, "n_held n_classes"]:
        """Logits of what is held out by a head made of the rest."""
        head = self._head(features, kept, self.pull)
        with torch.no_grad():
            return head(features[held])

    def _head(
        self, features: Float[Tensor, "n_all dim"], kept: Int[Tensor, " n_kept"], pull: float | None
    ) -> CosineHead:
        """A head made of some texts and all label names; without a pull that by prototypes."""
        names = torch.arange(len(self.support.texts), len(self.texts))
        part, chosen = self.support.subset(kept), features[torch.cat([kept, names])]
        return self.heads.tune(self.heads.start(chosen, part, self.learner), chosen, part, pull)


def _hits(logits: Float[Tensor, "n n_classes"], classes: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    return logits.argmax(-1) == classes


def _accuracy(logits: Float[Tensor, "n n_classes"], classes: Int[Tensor, " n"]) -> float:
    return float(_hits(logits, classes).double().mean())
