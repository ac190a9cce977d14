"""Fine-tune encoder and head on labelled texts; the result is kept only if it is better on a held-out part."""

import copy
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewshot.adaptation.head import Comparison, CosineHead, HeadTuner
from fewshot.adaptation.tuning import BalancedBatches, FineTuneObjective, StepBatches, TuningSettings
from fewshot.encoders import Encoder, TrainableEncoder
from fewshot.episodes.labelled import LabelledTexts
from fewshot.learners import Learner
from fewshot.processes import as_main
from fewshot.randomness import child_generator
from fewshot.text_classifier import TextClassifier
from fewshot.training import TrainingFiles, TrainingHistory, run_loop

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FineTuner(TuningSettings):
    """Tune an encoder on a support, early stopping and keeping the better of before and after on a part of it.

    Tuning takes `epochs` over the texts, at most `steps` steps, with at most `max_evaluations` evaluations on the
    held-out part, at least `evaluate_every` steps apart. Before is the better of prototypes and a tuned head on the
    untuned encoder, see `HeadTuner`.

    Tuning starts from prototypes all the same: a tuned head leaves the encoder hardly a gradient.
    The settings are those of `TuningSettings` and `LoopSettings`.
    """

    def splits(self, support: LabelledTexts, seed: int) -> list[tuple[Tensor, Tensor]]:
        """The indices of kept and of held-out texts of a support, for each fold."""
        n_folds = min(self.folds, int(support.counts.max()))
        folds = support.folds(n_folds, seed) if n_folds > 1 else []
        return folds or [support.held_out(self.held_out, seed, self.max_held_out)]

    def fit(
        self,
        encoder: Encoder,
        support: LabelledTexts,
        learner: Learner | None = None,
        seed: int = 0,
        head: HeadTuner | None = None,
        files: TrainingFiles | None = None,
    ) -> TextClassifier:
        """Adapt an encoder, published or meta-trained, to a support.

        Args:
            encoder: is not changed.
            support: all labelled texts; no other text is read.
            learner: a meta-trained one, whose projection the head uses; None: no projection.
            seed: root seed; the streams are `held out`, `batches`, `adaptation` and `adaptation/small parts`.
            head: tunes the head before the encoder; None is one with the defaults.
            files: for checkpoints and TensorBoard events, with `folds` 1; None writes none.

        Returns:
            The tuned classifier; if tuning does not pay, that with the head alone tuned, or prototypes. `details` has
            `stage`, the comparison, steps and seconds.
        """
        started = time.perf_counter()
        head_tuner = head or HeadTuner()
        before = head_tuner.fit(encoder, support, learner, seed)
        seconds = {"head": time.perf_counter() - started}
        if int(support.counts.max()) < 2:
            log.info("No class has a text to spare, so nothing can be held out: the encoder stays as it is")
            return before
        tuning = _Tuning(self, encoder, support, learner, head_tuner, before.details["l2_to_prototypes"], seed)
        splits = self.splits(support, seed)
        tuned = tuning.held_out_once(*splits[0], files) if len(splits) == 1 else tuning.cross_validated(splits)
        details = {
            "stage": before.details["stage"] if tuned.encoder is None else self.trainable.kind,
            "before": dict(before.details),
            "held_out": asdict(tuned.comparison),
            **tuned.details,
            "settings": self.determining(),
            "seed": seed,
            "seconds": seconds | {"all": time.perf_counter() - started},
        }
        log.info(
            f"Tuning ({self.trainable.kind}), on {tuned.comparison.n_texts} texts held out: "
            f"{100 * tuned.comparison.before:.1f} % before, {100 * tuned.comparison.after:.1f} % after; "
            f"{details['stage']} it is"
        )
        if tuned.encoder is None or tuned.head is None:
            return replace(before, details=details)
        temperature = float(tuned.head.temperature)
        return TextClassifier(tuned.encoder, tuned.head.classifier(), support.labels, temperature, details)


@dataclass(frozen=True)
class _Tuned:
    """The result of a tuning: encoder and calibrated head, None if tuning does not pay on held-out texts."""

    comparison: Comparison
    details: dict[str, Any]
    encoder: Encoder | None = None
    head: CosineHead | None = None


@dataclass(frozen=True)
class _Tuning:
    """Copies of an encoder, tuned on a part of a support and compared on the other part.

    `l2` is the penalty weight of the head that was tuned before the encoder; None is prototypes.
    """

    settings: FineTuner
    encoder: Encoder
    support: LabelledTexts
    learner: Learner | None
    head_tuner: HeadTuner
    l2: float | None
    seed: int

    @cached_property
    def texts(self) -> list[str]:
        """The support's texts and the label names."""
        return list(self.support.with_names_as_texts().texts)

    @cached_property
    def features(self) -> Float[Tensor, "n_all dim"]:
        """Features of the texts by the untuned encoder."""
        return self.encoder.encode(self.texts)

    def held_out_once(
        self, kept: Int[Tensor, " n_kept"], held_out: Int[Tensor, " n_held"], files: TrainingFiles | None
    ) -> _Tuned:
        """Tune on one part of the support, early stopping on the other."""
        tuned, texts = self._copy(kept), [self.support.texts[index] for index in held_out.tolist()]
        classes = self.support.classes[held_out]
        history = tuned.run(lambda: _accuracy(tuned.logits(texts), classes), files=files)
        before = self._logits(self.features, kept, held_out)
        details = {
            "steps": history.steps,
            "best_step": history.best_step,
            "curve": {str(step): accuracy for step, accuracy in history.valid_accuracies.items()},
            "trained": asdict(tuned.encoder.trainable_share),
        }
        if not history.best_step:
            right = _hits(before, classes)
            return _Tuned(Comparison.of(right, right), details | {"interpolation": 0.0})
        logits = {}
        for share in self.settings.interpolation:
            tuned.encoder.interpolate(share)
            logits[share] = self._logits(tuned.encoder.compute(self.texts), kept, held_out)
        best = as_main(max(logits, key=lambda share: _accuracy(logits[share], classes)))
        tuned.encoder.interpolate(best)
        details["interpolation"] = best
        return self._if_it_pays(before, logits[best], classes, details, lambda: tuned)

    def cross_validated(self, folds: Sequence[tuple[Tensor, Tensor]]) -> _Tuned:
        """Choose the number of steps by copies tuned without a fold, and if they pay, tune on all texts."""
        n_names = len(self.texts) - len(self.support.texts)
        plan = self.settings.planned(min(len(kept) for kept, _ in folds) + n_names)
        curves = [self._curve(number, kept, held_out, plan) for number, (kept, held_out) in enumerate(folds, start=1)]
        n_evaluations = min(len(curve) for curve in curves)  # a tuning that diverges ends early
        logits = torch.cat([curve[:n_evaluations] for curve in curves], dim=1)
        before = torch.cat([self._logits(self.features, kept, held_out) for kept, held_out in folds])
        classes = torch.cat([self.support.classes[held_out] for _, held_out in folds])
        right = (logits.argmax(-1) == classes).double().mean(1)
        best = as_main(int(right.argmax()))
        steps = [min(number * plan.evaluate_every, plan.steps) for number in range(len(right))]
        curve = {str(step): share for step, share in zip(steps, right.tolist(), strict=True)}
        details = {"folds": len(folds), "best_step": steps[best], "curve": curve}

        def on_all_texts() -> _TunedCopy:
            tuned = self._copy(torch.arange(len(self.support.texts)), plan)
            tuned.run(None, stop_at=steps[best])
            details["trained"] = asdict(tuned.encoder.trainable_share)
            return tuned

        return self._if_it_pays(before, logits[best] if best else before, classes, details, on_all_texts)

    def _if_it_pays(
        self,
        before: Float[Tensor, "n_held n_classes"],
        after: Float[Tensor, "n_held n_classes"],
        classes: Int[Tensor, " n_held"],
        details: dict[str, Any],
        tune: "Callable[[], _TunedCopy]",
    ) -> _Tuned:
        """The tuned encoder with a head made of all texts, calibrated on held-out logits, if tuning pays."""
        comparison = Comparison.of(_hits(before, classes), _hits(after, classes))
        if not as_main(comparison.pays(self.settings.margin)):
            return _Tuned(comparison, details)
        encoder = tune().encoder.merged()
        head = self._head(encoder.encode(self.texts), torch.arange(len(self.support.texts)), self.l2)
        head.calibrate(after, classes)
        return _Tuned(comparison, details, encoder, head)

    def _copy(self, kept: Int[Tensor, " n_kept"], plan: TuningSettings | None = None) -> "_TunedCopy":
        texts = self.support.subset(kept).with_names_as_texts()
        plan = plan or self.settings.planned(len(texts.texts))
        encoder = self.encoder.replace(cache=None)  # features tuned for one support are not worth keeping on disk
        return _TunedCopy(plan, encoder, self._head(self.features, kept, None), texts, self.seed)

    def _curve(
        self, number: int, kept: Int[Tensor, " n_kept"], held_out: Int[Tensor, " n_held"], plan: TuningSettings
    ) -> Float[Tensor, "n_evaluations n_held n_classes"]:
        """Held-out logits at each evaluation of a tuning that does not stop early."""
        curve: list[Tensor] = []
        tuned = self._copy(kept, replace(plan, patience=plan.steps))

        def score() -> float:
            curve.append(self._logits(tuned.encoder.compute(self.texts), kept, held_out))
            return _accuracy(curve[-1], self.support.classes[held_out])

        tuned.run(score, title=f"Tuning without part {number}")
        return torch.stack(curve)

    def _logits(
        self, features: Float[Tensor, "n_all dim"], kept: Int[Tensor, " n_kept"], held_out: Int[Tensor, " n_held"]
    ) -> Float[Tensor, "n_held n_classes"]:
        """Held-out logits by a head made of the kept texts."""
        with torch.no_grad():
            return self._head(features, kept, self.l2)(features[held_out])

    def _head(self, features: Float[Tensor, "n_all dim"], kept: Int[Tensor, " n_kept"], l2: float | None) -> CosineHead:
        """A head made of the kept texts and all label names; `l2` None: prototypes."""
        names = torch.arange(len(self.support.texts), len(self.texts))
        part, chosen = self.support.subset(kept), features[torch.cat([kept, names])]
        return self.head_tuner.tune(self.head_tuner.start(chosen, part, self.learner), chosen, part, l2)


class _TunedCopy:
    """A trainable copy of an encoder and of a head, which are tuned on texts and label names."""

    def __init__(self, settings: TuningSettings, encoder: Encoder, head: CosineHead, texts: LabelledTexts, seed: int):
        self.settings, self.seed = settings, seed
        self.encoder = TrainableEncoder(encoder, settings.trainable, child_generator(seed, "adaptation/small parts"))
        self.head = head.twin().to(next(self.encoder.parameters()).device)
        self.batches = BalancedBatches(texts.classes, settings.batch, settings.per_class, seed)
        self.objective = FineTuneObjective(self.encoder, self.head, texts, settings)

    def run(
        self,
        score: Callable[[], float] | None,
        title: str = "Fine-tuning",
        files: TrainingFiles | None = None,
        stop_at: int | None = None,
    ) -> TrainingHistory:
        """Tune both; the arguments are those of `run_loop`."""
        settings = self.settings
        groups = self.encoder.parameter_groups(settings.learning_rate, settings.layer_decay, settings.weight_decay)
        groups.append({"params": [self.head.rows], "lr": settings.head_learning_rate, "weight_decay": 0.0})
        return run_loop(
            settings,
            self.objective,
            groups,
            StepBatches(self.batches, settings.accumulate),
            score,
            seed=self.seed,
            title=title,
            stream="adaptation",
            count=len,
            files=files,
            stop_at=stop_at,
        )

    def logits(self, texts: Sequence[str]) -> Float[Tensor, "n_texts n_classes"]:
        """Logits on the CPU by the current encoder and head."""
        head, features = copy.deepcopy(self.head).cpu(), self.encoder.compute(texts)
        with torch.no_grad():
            return head(features)


def _hits(logits: Float[Tensor, "n n_classes"], classes: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    return logits.argmax(-1) == classes


def _accuracy(logits: Float[Tensor, "n n_classes"], classes: Int[Tensor, " n"]) -> float:
    return float(_hits(logits, classes).double().mean())
