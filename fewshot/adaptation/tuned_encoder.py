"""An encoder with a head on top, while both are tuned on the texts of a support."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.adaptation.batches import BalancedBatches
from fewshot.adaptation.head import CosineHead
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.adaptation.objective import FineTuneObjective
from fewshot.encoders import Encoder, LoRA, Trainable, TrainableEncoder
from fewshot.processes import process_count, process_index
from fewshot.randomness import child_generator
from fewshot.training import LoopSettings, TrainingFiles, TrainingHistory, run_loop
from fewshot.training.loop_settings import Precision, Schedule


@dataclass(frozen=True)
class TuningSettings(LoopSettings):
    """How encoder and head are tuned; the arguments are described in `FineTuner`."""

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


class TunedEncoder:
    """A trainable copy of an encoder, and a head, while both are tuned.

    Args:
        settings: with as many steps as are to be taken.
        encoder: is not changed.
        head: where the head starts; it is not changed.
        texts: what both are tuned on, label names among them.
        seed: root seed.
    """

    def __init__(self, settings: TuningSettings, encoder: Encoder, head: CosineHead, texts: LabelledTexts, seed: int):
        self.settings, self.seed = settings, seed
        generator = child_generator(seed, "adaptation/small parts")
        self.encoder = TrainableEncoder(encoder, settings.trainable, generator)
        self.head = head.twin().to(next(self.encoder.parameters()).device)
        self.batches = BalancedBatches(texts.classes, settings.batch, settings.per_class, seed)
        self.objective = FineTuneObjective(
            self.encoder,
            self.head,
            texts,
            contrastive_weight=settings.contrastive_weight,
            temperature=settings.temperature,
            label_smoothing=settings.label_smoothing,
            tokens_per_pass=settings.tokens_per_pass,
        )

    def run(
        self,
        score: Callable[[], float] | None,
        title: str = "Fine-tuning",
        files: TrainingFiles | None = None,
        stop_at: int | None = None,
    ) -> TrainingHistory:
        """Tune both; they end as they were when the score was best, or after the step `stop_at`.

        Args:
            score: of this copy as it is; None with `stop_at`.
            title: what stands before the progress bar.
            files: where checkpoints and TensorBoard events go.
            stop_at: see `run_loop`.
        """
        settings = self.settings
        groups = self.encoder.parameter_groups(settings.learning_rate, settings.layer_decay, settings.weight_decay)
        groups.append({"params": [self.head.rows], "lr": settings.head_learning_rate, "weight_decay": 0.0})
        return run_loop(
            settings,
            self.objective,
            groups,
            _Draw(self.batches, settings.accumulate),
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


class _Draw:
    """Another batch for each call in a step, and for each of several processes."""

    def __init__(self, batches: BalancedBatches, accumulate: int):
        self.batches, self.accumulate = batches, accumulate
        self.step, self.calls = 0, 0

    def __call__(self, step: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
        self.calls = self.calls + 1 if step == self.step else 0
        self.step = step
        return self.batches((((step - 1) * self.accumulate + self.calls) * process_count()) + process_index() + 1)
