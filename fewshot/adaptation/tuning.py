"""Fine-tuning an encoder and a head on a support: settings, batches and loss."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fewshot.adaptation.head import CosineHead
from fewshot.encoders import LoRA, Trainable, TrainableEncoder
from fewshot.episodes.labelled import LabelledTexts
from fewshot.processes import process_count, process_index
from fewshot.randomness import child_generator
from fewshot.ranges import BELOW_ONE, DECAY, NOT_NEGATIVE, POSITIVE, SHARES, Range
from fewshot.training import LoopSettings
from fewshot.training.settings import Precision, Schedule
from fewshot.training.terms import supervised_contrastive


@dataclass(frozen=True)
class TuningSettings(LoopSettings):
    """Settings of the tuning of encoder and head.

    The defaults are those for LoRA with 51 to 500 texts per class: its updates start at zero and bear twenty times the
    rate of full fine-tuning, and lower layers, which suit all texts, change less.

    Args:
        trainable: the part of the encoder that is tuned.
        epochs: how often each text is seen, in a class of average size.
        max_evaluations: how often held-out accuracy is measured at most.
        batch: texts in a step.
        per_class: texts of a class that stand together in a batch.
        learning_rate: AdamW's rate for the top layer.
        layer_decay: factor of the rate from one layer to the next lower one.
        head_learning_rate: of the rows of the head.
        weight_decay: AdamW's decay of the encoder's matrices.
        contrastive_weight: of the supervised contrastive term.
        temperature: of the contrastive term.
        label_smoothing: share of each target that is spread over all classes.
        held_out: share of each class that is held out; with `folds` 1 only.
        max_held_out: texts of a class that are held out at most; 10 of each of 77 have a standard error under 1 point.
        folds: 1 holds out once, and the tuned model is the one that was measured. More cross-validate: models tuned
            without a fold choose the number of steps, and if they pay, a model is tuned on all texts.
        interpolation: shares of the update to choose from, by the accuracy on the held-out texts.
        margin: standard errors by which tuning has to beat the classifier before it on the held-out texts.
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
        """The settings with `steps` and `evaluate_every` for a number of texts."""
        a_step = self.batch * self.accumulate * process_count()
        steps = min(self.steps, math.ceil(self.epochs * n_texts / a_step))
        every = max(self.evaluate_every, math.ceil(steps / self.max_evaluations))
        return replace(self, steps=steps, evaluate_every=every)


class BalancedBatches:
    """Rounds over all classes, each in a new order, cut into batches of equal size.

    1. In a round each class that has texts gives `per_class` of them, side by side.
    2. A class goes through all its texts before one comes again, in a new order each time; a small class comes round
       sooner. Classes count alike, whatever their sizes.
    3. A batch depends on the seed (stream `batches`) and the step alone, so a resumed training draws the same.
    """

    def __init__(self, classes: Int[Tensor, " n_texts"], size: int, per_class: int, seed: int):
        self.size, self.per_class, self.seed = size, per_class, seed
        self.members = [(classes == number).nonzero().flatten() for number in classes.unique().tolist()]

    def __call__(self, step: int) -> Int[Tensor, " size"]:
        """The texts of a step, 1 for the first."""
        start, stop = (step - 1) * self.size, step * self.size
        length = len(self.members) * self.per_class
        rounds = torch.cat([self._round(number) for number in range(start // length, (stop - 1) // length + 1)])
        return rounds[start % length :][: self.size]

    def _round(self, number: int) -> Int[Tensor, " round"]:
        order = torch.randperm(len(self.members), generator=self._stream(f"round {number}"))
        turns = range(number * self.per_class, (number + 1) * self.per_class)
        return torch.stack([self._text(index, turn) for index in order.tolist() for turn in turns])

    def _text(self, index: int, turn: int) -> Int[Tensor, ""]:
        members = self.members[index]
        epoch, offset = divmod(turn, len(members))
        return members[torch.randperm(len(members), generator=self._stream(f"{index}/{epoch}"))[offset]]

    def _stream(self, name: str) -> torch.Generator:
        return child_generator(self.seed, f"batches/{name}")


class StepBatches:
    """A different batch for each call in a step, and for each of several processes."""

    def __init__(self, batches: BalancedBatches, accumulate: int):
        self.batches, self.accumulate = batches, accumulate
        self.step, self.calls = 0, 0

    def __call__(self, step: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
        """The texts of the next call in a step; the generator is unused."""
        self.calls = self.calls + 1 if step == self.step else 0
        self.step = step
        return self.batches((((step - 1) * self.accumulate + self.calls) * process_count()) + process_index() + 1)


class FineTuneObjective(nn.Module):
    """Embeds texts of a support, by index: `L = CE(logits, classes) + w_contrastive L_contrastive`."""

    def __init__(self, encoder: TrainableEncoder, head: CosineHead, support: LabelledTexts, settings: TuningSettings):
        super().__init__()
        self.encoder, self.head, self.support, self.settings = encoder, head, support, settings

    def forward(self, batch: Int[Tensor, " batch"]) -> dict[str, Float[Tensor, ""]]:
        """The losses of some texts of the support by name, in nats, and their weighted sum as `loss`."""
        texts, settings = [self.support.texts[index] for index in batch.tolist()], self.settings
        embedded = self.head.embed(self.encoder.embed_texts(texts, settings.tokens_per_pass))
        classes = self.support.classes[batch].to(embedded.device)
        logits = self.head.of_embedded(embedded)
        task = nn.functional.cross_entropy(logits, classes, label_smoothing=settings.label_smoothing)
        if not settings.contrastive_weight:
            return {"loss": task}
        contrastive = supervised_contrastive(embedded, classes, settings.temperature)
        return {"loss": task + settings.contrastive_weight * contrastive, "task": task, "contrastive": contrastive}
