"""A copy of an encoder with a head on top, while both are tuned on some texts of a support."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.adaptation.batches import BalancedBatches
from fewshot.adaptation.head import CosineHead
from fewshot.adaptation.labelled import LabelledTexts
from fewshot.adaptation.objective import FineTuneObjective
from fewshot.encoders import Encoder, TrainableEncoder
from fewshot.processes import process_count, process_index
from fewshot.randomness import child_generator
from fewshot.training import TrainingFiles, TrainingHistory, run_loop

if TYPE_CHECKING:
    from fewshot.adaptation.fine_tuner import FineTuner


class TunedCopy:
    """A trainable encoder and a head.

    Args:
        plan: how it is tuned, with as many steps as the texts make them.
        encoder: its `trainable` says what of it is tuned.
        head: where the head starts; it is not changed.
        texts: what it is tuned on, label names among them.
        seed: root seed.
    """

    def __init__(self, plan: FineTuner, encoder: Encoder, head: CosineHead, texts: LabelledTexts, seed: int):
        self.plan, self.seed = plan, seed
        self.trainable = TrainableEncoder(encoder, child_generator(seed, "adaptation/small parts"))
        self.head = head.twin().to(next(self.trainable.parameters()).device)
        self.batches = BalancedBatches(texts.classes, plan.batch, plan.per_class, seed)
        self.objective = FineTuneObjective(
            self.trainable,
            self.head,
            texts,
            contrastive_weight=plan.contrastive_weight,
            temperature=plan.temperature,
            label_smoothing=plan.label_smoothing,
            tokens_per_pass=plan.tokens_per_pass,
        )

    def run(
        self, score: Callable[[], float], title: str = "Fine-tuning", files: TrainingFiles | None = None
    ) -> TrainingHistory:
        """Tune both; they end as they were when the score was best.

        Args:
            score: of this copy as it is.
            title: what stands before the progress bar.
            files: where checkpoints and TensorBoard events go.
        """
        plan = self.plan
        groups = self.trainable.parameter_groups(plan.learning_rate, plan.layer_decay, plan.weight_decay)
        groups.append({"params": [self.head.rows], "lr": plan.head_learning_rate, "weight_decay": 0.0})
        draw = _Draw(self.batches, plan.accumulate)
        return run_loop(
            plan,
            self.objective,
            groups,
            draw,
            score,
            seed=self.seed,
            title=title,
            stream="adaptation",
            count=len,
            files=files,
        )

    def logits(self, texts: Sequence[str]) -> Float[Tensor, "n_texts n_classes"]:
        """Logits by encoder and head as they are; on the CPU."""
        head, features = copy.deepcopy(self.head).cpu(), self.trainable.compute(texts)
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
