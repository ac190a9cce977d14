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

    How long: `epochs` over what is trained on, at most `steps` steps, with at most `max_evaluations` evaluations on
    what is held out, at least `evaluate_every` steps apart. Before is the better of prototypes and a tuned head on the
    encoder as it was, see `HeadTuner`.

    Tuning starts from prototypes all the same: a head that is tuned already leaves the encoder hardly a gradient.
    The settings are those of `TuningSettings` and `LoopSettings`.
    """

    def splits(self, support: LabelledTexts, seed: int) -> list[tuple[Tensor, Tensor]]:
        """Texts of a support that are kept, and those held out, of each fold."""
        n_folds = min(self.folds, int(support.counts.max()))  # as many as the largest class has texts for
        if n_folds > 1:
            return support.folds(n_folds, seed)
        return [support.held_out(self.held_out, seed, self.max_held_out)]

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
            support: all that is labelled; no other text is read.
            learner: a meta-trained one, whose projection the head goes through; None: features as they are.
            seed: root seed; the streams are `held out`, `batches`, `adaptation` and `adaptation/small parts`.
            head: how the head is tuned before the encoder; None is one with the defaults.
            files: where checkpoints and TensorBoard events go, with `folds` 1; None writes none.

        Returns:
            The tuned classifier; where tuning does not pay, that with the head alone tuned, or prototypes. `details`
            has `stage`, what was compared, steps and seconds.
        """
        started = time.perf_counter()
        heads = head or HeadTuner()
        before = heads.fit(encoder, support, learner, seed)
        seconds = {"head": time.perf_counter() - started}
        if int(support.counts.max()) < 2:
            log.info("No class has a text to spare, so nothing can be held out: the encoder stays as it is")
            return before
        tuning = _Tuning(self, encoder, support, learner, heads, before.details["l2_to_prototypes"], seed)
        splits = self.splits(support, seed)
        found = tuning.held_out_once(*splits[0], files) if len(splits) == 1 else tuning.cross_validated(splits)
        details = {
            "stage": before.details["stage"] if found.encoder is None else self.trainable.kind,
            "before": dict(before.details),
            "held_out": asdict(found.comparison),
            **found.details,
            "settings": self.determining(),
            "seed": seed,
            "seconds": seconds | {"all": time.perf_counter() - started},
        }
        log.info(
            f"Tuning ({self.trainable.kind}), on {found.comparison.n_texts} texts held out: "
            f"{100 * found.comparison.before:.1f} % before, {100 * found.comparison.after:.1f} % after; "
            f"{details['stage']} it is"
        )
        if found.encoder is None or found.head is None:
            return replace(before, details=details)
        temperature = float(found.head.temperature)
        return TextClassifier(found.encoder, found.head.classifier(), support.labels, temperature, details)


@dataclass(frozen=True)
class _Tuned:
    """The result of a tuning: encoder and calibrated head, None where tuning does not pay on texts held out."""

    comparison: Comparison
    details: dict[str, Any]
    encoder: Encoder | None = None
    head: CosineHead | None = None


@dataclass(frozen=True)
class _Tuning:
    """Copies of an encoder, tuned on parts of a support and compared on the rest.

    `l2` is the weight of the penalty that the head before the encoder's tuning was tuned with; None is prototypes.
    """

    settings: FineTuner
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
        self, kept: Int[Tensor, " n_kept"], held: Int[Tensor, " n_held"], files: TrainingFiles | None
    ) -> _Tuned:
        """Tune on one part of the support, early stopping on the other."""
        tuned, texts = self._copy(kept), [self.support.texts[index] for index in held.tolist()]
        classes = self.support.classes[held]
        history = tuned.run(lambda: _accuracy(tuned.logits(texts), classes), files=files)
        before = self._logits(self.features, kept, held)
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
            logits[share] = self._logits(tuned.encoder.compute(self.texts), kept, held)
        best = as_main(max(logits, key=lambda share: _accuracy(logits[share], classes)))
        tuned.encoder.interpolate(best)
        details["interpolation"] = best
        return self._if_it_pays(before, logits[best], classes, details, lambda: tuned)

    def cross_validated(self, folds: Sequence[tuple[Tensor, Tensor]]) -> _Tuned:
        """See from copies tuned without a fold how many steps to take and whether they pay, then tune on all texts."""
        n_names = len(self.texts) - len(self.support.texts)
        plan = self.settings.planned(min(len(kept) for kept, _ in folds) + n_names)
        curves = [self._curve(number, kept, held, plan) for number, (kept, held) in enumerate(folds, start=1)]
        n_evaluations = min(len(curve) for curve in curves)  # a tuning that diverges ends early
        logits = torch.cat([curve[:n_evaluations] for curve in curves], dim=1)
        before = torch.cat([self._logits(self.features, kept, held) for kept, held in folds])
        classes = torch.cat([self.support.classes[held] for _, held in folds])
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
        """The tuned encoder with a head made of all texts, calibrated on logits of texts that were held out."""
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
        encoder = self.encoder.replace(cache=None)  # features tuned for one support are not worth a place on the disk
        return _TunedCopy(plan, encoder, self._head(self.features, kept, None), texts, self.seed)

    def _curve(
        self, number: int, kept: Int[Tensor, " n_kept"], held: Int[Tensor, " n_held"], plan: TuningSettings
    ) -> Float[Tensor, "n_evaluations n_held n_classes"]:
        """Logits of what is held out at each evaluation of a tuning that does not stop early."""
        seen: list[Tensor] = []
        tuned = self._copy(kept, replace(plan, patience=plan.steps))

        def score() -> float:
            seen.append(self._logits(tuned.encoder.compute(self.texts), kept, held))
            return _accuracy(seen[-1], self.support.classes[held])

        tuned.run(score, title=f"Tuning without part {number}")
        return torch.stack(seen)

    def _logits(
        self, features: Float[Tensor, "n_all dim"], kept: Int[Tensor, " n_kept"], held: Int[Tensor, " n_held"]
    ) -> Float[Tensor, "n_held n_classes"]:
        """Logits of what is held out by a head made of the rest."""
        with torch.no_grad():
            return self._head(features, kept, self.l2)(features[held])

    def _head(self, features: Float[Tensor, "n_all dim"], kept: Int[Tensor, " n_kept"], l2: float | None) -> CosineHead:
        """A head made of some texts and all label names; without a penalty that by prototypes."""
        names = torch.arange(len(self.support.texts), len(self.texts))
        part, chosen = self.support.subset(kept), features[torch.cat([kept, names])]
        return self.heads.tune(self.heads.start(chosen, part, self.learner), chosen, part, l2)


class _TunedCopy:
    """A trainable copy of an encoder and of a head, while both are tuned on texts, label names among them."""

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
        """Logits by encoder and head as they are; on the CPU."""
        head, features = copy.deepcopy(self.head).cpu(), self.encoder.compute(texts)
        with torch.no_grad():
            return head(features)


def _hits(logits: Float[Tensor, "n n_classes"], classes: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
    return logits.argmax(-1) == classes


def _accuracy(logits: Float[Tensor, "n n_classes"], classes: Int[Tensor, " n"]) -> float:
    return float(_hits(logits, classes).double().mean())
