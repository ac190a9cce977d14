"""Settings of fine-tuning an encoder and a head on a support."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from fewshot.encoders import LoRA, Trainable
from fewshot.processes import process_count
from fewshot.ranges import BELOW_ONE, DECAY, NOT_NEGATIVE, POSITIVE, SHARES, Range
from fewshot.training import LoopSettings
from fewshot.training.loop_settings import Precision, Schedule


@dataclass(frozen=True)
class TuningSettings(LoopSettings):
    """How encoder and head are tuned, and when the result is kept.

    The defaults are those for LoRA with 51 to 500 texts per class: its updates start at zero and bear twenty times the
    rate of full fine-tuning, and what lower layers hold is common to all texts.

    Args:
        trainable: what of the encoder is tuned.
        epochs: times that each text of a class of middle size is seen.
        max_evaluations: how often held-out accuracy is measured at most.
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
        max_held_out: texts of a class that are held out at most; 10 of each of 77 have a standard error under 1 point.
        folds: 1 holds out once, and the tuned model is the one that was measured. More cross-validate: models tuned
            without a fold say how many steps to take and whether they pay, and then one is tuned on all texts.
        interpolation: shares of the way from the weights before to the tuned ones, of which the best on the held-out
            texts is kept.
        margin: standard errors by which tuning has to beat what was before on the held-out texts.
        tokens_per_pass: padded tokens that go through the encoder at once, at most.

    The other settings are those of `LoopSettings`.
    """

    steps: int = 400
    evaluate_every: int = 5
    patience: int = 3
    schedule: Schedule = "linear"
    warmup: float = 0.1
    max_gradient_norm: float | None = 1.0
    precision: Precision = "bfloat16"

    trainable: Trainable = field(default_factory=LoRA)
    epochs: float = 3.0
    max_evaluations: int = 6
    batch: int = 48
    per_class: int = 1
    learning_rate: float = 2e-3
    layer_decay: float = 0.9
    head_learning_rate: float = 5e-3
    weight_decay: float = 0.01
    contrastive_weight: float = 0.0
    temperature: float = 0.1
    label_smoothing: float = 0.0
    tokens_per_pass: int = 1024
    held_out: float = 0.2
    max_held_out: int = 10
    folds: int = 1
    interpolation: Sequence[float] = (0.5, 1.0)
    margin: float = 0.5

    GROUP: ClassVar[str] = "adaptation"
    RANGES: ClassVar[dict[str, Range]] = LoopSettings.RANGES | {
        **dict.fromkeys(("epochs", "max_evaluations", "batch", "per_class", "learning_rate"), POSITIVE),
        **dict.fromkeys(("head_learning_rate", "temperature", "folds", "max_held_out", "tokens_per_pass"), POSITIVE),
        **dict.fromkeys(("weight_decay", "contrastive_weight", "margin"), NOT_NEGATIVE),
        "layer_decay": DECAY,
        "label_smoothing": BELOW_ONE,
        "held_out": (lambda share: 0 < share < 1, "a share between 0 and 1 (neither of them)"),
        "interpolation": SHARES,
        "trainable": (lambda trainable: isinstance(trainable, Trainable), "LoRA(), Adapter() or Full()"),
    }

    def planned(self, n_texts: int) -> "TuningSettings":
        """The settings with `steps` and `evaluate_every` for a number of texts.

        Example:
            >>> plan = TuningSettings(epochs=2.0, batch=32, max_evaluations=4).planned(640)
            >>> plan.steps, plan.evaluate_every
            (40, 10)
        """
        a_step = self.batch * self.accumulate * process_count()
        steps = min(self.steps, math.ceil(self.epochs * n_texts / a_step))
        every = max(self.evaluate_every, math.ceil(steps / self.max_evaluations))
        return replace(self, steps=steps, evaluate_every=every)
