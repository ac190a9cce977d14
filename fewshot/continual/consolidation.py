"""Elastic weight consolidation: train an encoder on new texts, and keep the weights that matter for the old ones.

    L(theta) = CE(new texts) + strength / 2 * sum_i F_i (theta_i - theta*_i)^2
    F_i = mean_x sum_y p(y|x) (d log p(y|x) / d theta_i)^2        then F <- decay * F_old + F_new

`theta*` are the weights before, `F` the diagonal of their Fisher information on the old texts.  It is kept instead of
the old texts; one penalty around the newest weights stands for all tasks before.  Labels are drawn from the
classifier's own probabilities, one a text.  The rows of labels without a new text stay unchanged.

Source: Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks",
https://arxiv.org/abs/1612.00796; Schwarz et al. 2018, "Progress & Compress", https://arxiv.org/abs/1805.06370,
section 3.2, for the one running penalty (theirs divides F by its size first).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.adaptation.head import CosineHead
from fewshot.adaptation.tuning import BalancedBatches, StepBatches, TuningSettings
from fewshot.encoders import Encoder, Full, Trainable, TrainableEncoder
from fewshot.fitted.memory import Fisher
from fewshot.learners.learner import Classifier
from fewshot.randomness import child_generator
from fewshot.ranges import NOT_NEGATIVE, POSITIVE, SHARE, Range
from fewshot.training import run_loop


@dataclass(frozen=True)
class Consolidation(TuningSettings):
    """Settings of elastic weight consolidation.

    Args:
        strength: of the penalty; 0 is fine-tuning, which forgets.
        decay: factor of the Fisher information of earlier tasks at each further one.
        fisher_texts: maximum of texts from which the Fisher information is estimated, spread over the classes.

    The other settings are those of `TuningSettings`; nothing is held out.
    """

    trainable: Trainable = field(default_factory=Full)
    learning_rate: float = 1e-4
    strength: float = 1e5
    decay: float = 1.0
    fisher_texts: int = 200

    RANGES: ClassVar[dict[str, Range]] = TuningSettings.RANGES | {
        "strength": NOT_NEGATIVE,
        "decay": SHARE,
        "fisher_texts": POSITIVE,
    }

    def fisher(
        self,
        encoder: Encoder,
        classifier: Classifier,
        temperature: float,
        texts: Sequence[str],
        classes: Int[Tensor, " n_texts"],
        seed: int,
    ) -> Fisher:
        """The Fisher information of the weights of an encoder on some texts; nothing is trained."""
        copied = TrainableEncoder(encoder, self.trainable).eval()
        weights = _trained(copied)
        totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        generator = child_generator(seed, "fisher")
        chosen = BalancedBatches(classes, min(self.fisher_texts, len(texts)), 1, seed)(1).tolist()
        for index in chosen:
            with torch.enable_grad():
                features = normalize(copied.embed_texts([texts[index]]), dim=-1)
                scores = (classifier.logits(features[None])[0, 0] / temperature).log_softmax(-1)
                drawn = torch.multinomial(scores.detach().exp(), 1, generator=generator)
                gradients = torch.autograd.grad(scores[drawn[0]], list(weights.values()), allow_unused=True)
            for total, gradient in zip(totals.values(), gradients, strict=True):
                if gradient is not None:
                    total += gradient.square()
        return Fisher({name: (total / len(chosen)).cpu() for name, total in totals.items()})

    def train(
        self,
        encoder: Encoder,
        head: CosineHead,
        texts: Sequence[str],
        classes: Int[Tensor, " n_texts"],
        fisher: Fisher | None,
        seed: int,
    ) -> tuple[Encoder, CosineHead]:
        """Encoder and head trained on new texts.

        Args:
            encoder: is not changed.
            head: with a row for each label, new ones among them; is not changed.
            texts, classes: the new texts, and the row of each.
            fisher: of the old texts; None: no penalty.
            seed: streams `batches` and `consolidation`.
        """
        copied = TrainableEncoder(encoder, self.trainable)
        trained = head.twin().to(next(copied.parameters()).device)
        has_text = torch.zeros(len(trained.rows), 1).index_fill_(0, classes.unique(), 1.0)
        trained.rows.register_hook(lambda gradient: gradient * has_text.to(gradient.device))
        objective = ConsolidationObjective(copied, trained, texts, classes, fisher, self)
        plan = self.planned(len(texts))
        groups = copied.parameter_groups(plan.learning_rate, plan.layer_decay)
        groups.append({"params": [trained.rows], "lr": plan.head_learning_rate, "weight_decay": 0.0})
        draw = StepBatches(BalancedBatches(classes, plan.batch, plan.per_class, seed), plan.accumulate)
        run_loop(
            plan, objective, groups, draw, None, seed=seed, title="Learning on", stream="consolidation",
            count=len, stop_at=plan.steps,
        )  # fmt: skip
        return copied.merged(), trained.cpu().requires_grad_(False)


class ConsolidationObjective(nn.Module):
    """Cross-entropy of new texts and the penalty."""

    def __init__(
        self,
        encoder: TrainableEncoder,
        head: CosineHead,
        texts: Sequence[str],
        classes: Int[Tensor, " n_texts"],
        fisher: Fisher | None,
        settings: Consolidation,
    ):
        super().__init__()
        self.encoder, self.head, self.texts, self.classes = encoder, head, texts, classes
        self.settings = settings
        weights = _trained(encoder) if fisher is not None and settings.strength else {}
        device = next(encoder.parameters()).device
        self.start = {name: weight.detach().clone() for name, weight in weights.items()}
        self.values = {name: fisher.values[name].to(device) for name in weights} if fisher is not None else {}

    def forward(self, batch: Int[Tensor, " batch"]) -> dict[str, Float[Tensor, ""]]:
        """The losses of some of the texts by name, in nats, and their sum as `loss`."""
        texts = [self.texts[index] for index in batch.tolist()]
        features = self.encoder.embed_texts(texts, self.settings.tokens_per_pass)
        classes = self.classes[batch].to(features.device)
        task = nn.functional.cross_entropy(self.head(features), classes)
        if not self.start:
            return {"loss": task}
        weights = _trained(self.encoder)
        changes = [(self.values[name] * (weights[name] - start).square()).sum() for name, start in self.start.items()]
        penalty = self.settings.strength / 2 * torch.stack(changes).sum()
        return {"loss": task + penalty, "task": task, "penalty": penalty}


def _trained(encoder: TrainableEncoder) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in encoder.module.named_parameters() if weight.requires_grad}
