"""Fine-tune an encoder and a head on labelled texts, as far as texts held out of them say that it pays."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal, get_args

from torch import Tensor

from fewshot.adaptation.head_tuner import HeadTuner
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.adaptation.tuning import Tuning
from fewshot.encoders import Encoder
from fewshot.learners import Learner
from fewshot.processes import process_count
from fewshot.text_classifier import TextClassifier
from fewshot.training import LoopSettings, TrainingFiles
from fewshot.training.loop_settings import Precision, Schedule

log = logging.getLogger(__name__)

Trainable = Literal["lora", "adapter", "full"]


@dataclass(frozen=True)
class FineTuner(LoopSettings):
    """Tune an encoder on a support, early stopping and keeping the better of before and after on a part of it.

    How long: `epochs` over what is trained on, at most `steps` steps, with at most `looks` looks at what is held out,
    at least `evaluate_every` steps apart. Before is the better of prototypes and a tuned head on the encoder as it was,
    see `HeadTuner`.

    Tuning starts from prototypes all the same: a head that is tuned already has hardly a gradient left for the encoder.

    Args:
        trainable: what of the encoder is tuned, whatever its own setting says; how, its other settings say.
        epochs: times that each text of a class of middle size is seen.
        looks: most looks at the held-out texts.
        batch: texts in a step.
        per_class: texts of a class that stand together in a batch.
        learning_rate: AdamW's rate for the top layer.
        layer_decay: what the rate is multiplied by from one layer to the next lower one.
        head_learning_rate: of the rows of the head.
        weight_decay: AdamW's decay of the encoder's matrices.
        contrastive_weight: of the supervised contrastive term.
        temperature: of the contrastive term.
        label_smoothing: share of each target that is spread over all classes.
        held_out: share of each class that is held out; with `folds` 1 only.
        held_out_most: texts of a class that are held out at most.
        folds: 1 holds out once, and the tuned model is the one that was measured. More cross-validate: models tuned
            without a fold say how many steps to take and whether they pay, and then one is tuned on all texts.
        interpolation: shares of the way from the weights before to the tuned ones, of which the best on the held-out
            texts is kept.
        margin: standard errors by which tuning has to beat what was before on the held-out texts.
        tokens_per_pass: most padded tokens that go through the encoder at once.

    The other settings are those of `LoopSettings`.
    """

    steps: int = 400
    evaluate_every: int = 5
    patience: int = 3
    schedule: Schedule = "linear"
    warmup: float = 0.1
    max_gradient_norm: float | None = 1.0
    precision: Precision = "bfloat16"

    trainable: Trainable = "lora"
    epochs: float = 3.0
    looks: int = 6
    batch: int = 48
    per_class: int = 1
    learning_rate: float = 2e-3
    layer_decay: float = 0.9
    head_learning_rate: float = 5e-3
    weight_decay: float = 0.01
    contrastive_weight: float = 0.0
    temperature: float = 0.1
    label_smoothing: float = 0.0
    held_out: float = 0.2
    held_out_most: int = 10
    folds: int = 1
    interpolation: Sequence[float] = (0.5, 1.0)
    margin: float = 0.5
    tokens_per_pass: int = 1024

    GROUP: ClassVar[str] = "adaptation"

    def out_of_range(self) -> dict[str, str]:
        """Name of each setting that cannot be used → what is expected of it."""
        wrong = super().out_of_range()
        positive = ("epochs", "looks", "batch", "per_class", "learning_rate", "head_learning_rate", "temperature")
        for name in (*positive, "folds", "held_out_most", "tokens_per_pass"):
            if not getattr(self, name) > 0:
                wrong[name] = "positive numbers"
        for name in ("weight_decay", "contrastive_weight", "margin"):
            if not getattr(self, name) >= 0:
                wrong[name] = "numbers of 0 or more"
        if not 0 < self.layer_decay <= 1:
            wrong["layer_decay"] = "layer_decay above 0 and at most 1"
        if not 0 <= self.label_smoothing < 1:
            wrong["label_smoothing"] = "label_smoothing as a share from 0 to below 1"
        if not 0 < self.held_out < 1:
            wrong["held_out"] = "held_out as a share between 0 and 1"
        if not self.interpolation or not all(0 < share <= 1 for share in self.interpolation):
            wrong["interpolation"] = "interpolation as a list of shares such as [0.5,1]"
        if self.trainable not in get_args(Trainable):
            wrong["trainable"] = f"trainable as one of {', '.join(get_args(Trainable))}"
        return wrong

    def planned(self, n_texts: int) -> "FineTuner":
        """The settings with `steps` and `evaluate_every` as so many texts make them.

        Example:
            >>> plan = FineTuner(epochs=2.0, batch=32, looks=4).planned(640)
            >>> plan.steps, plan.evaluate_every
            (40, 10)
        """
        a_step = self.batch * self.accumulate * process_count()
        steps = min(self.steps, math.ceil(self.epochs * n_texts / a_step))
        return replace(self, steps=steps, evaluate_every=max(self.evaluate_every, math.ceil(steps / self.looks)))

    def splits(self, support: LabelledTexts, seed: int) -> list[tuple[Tensor, Tensor]]:
        """What of a support is kept and what is held out, to judge by."""
        return support.splits(self.folds_of(support), self.held_out, seed, self.held_out_most)

    def folds_of(self, support: LabelledTexts) -> int:
        """The folds for which the largest class has texts."""
        return min(self.folds, int(support.counts.max()))

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
            support: all that is labelled; no other text is looked at.
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
        tuning = Tuning(self, encoder, support, learner, heads, before.details["l2_to_prototypes"], seed)
        n_folds = self.folds_of(support)
        found = tuning.held_out_once(files) if n_folds == 1 else tuning.cross_validated(n_folds)
        pays = found.encoder is not None
        details = {
            "stage": self.trainable if pays else before.details["stage"],
            "before": dict(before.details),
            "held_out": asdict(found.comparison),
            **found.details,
            "settings": self.determining(),
            "seed": seed,
            "seconds": seconds | {"all": time.perf_counter() - started},
        }
        log.info(
            "Tuning (%s), on %d texts held out: %.1f %% before, %.1f %% after; %s it is",
            self.trainable,
            found.comparison.n_texts,
            100 * found.comparison.before,
            100 * found.comparison.after,
            details["stage"],
        )
        if found.encoder is None or found.head is None:
            return replace(before, details=details)
        return TextClassifier(
            found.encoder, found.head.classifier(), support.labels, float(found.head.temperature), details
        )
