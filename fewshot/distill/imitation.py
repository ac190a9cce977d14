"""The loss of a student against its teacher, on texts without labels, and its training.

    loss = mean_i (1 - cos(s_i, t_i)) + a mean_ij (cos(s_i, s_j) - cos(t_i, t_j))^2 + b mean_i KL(p(t_i) || p(s_i))

`s` and `t` are the features of a text by student and teacher, of the same width, and `p` the probabilities by the
teacher's classifier, which reads either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import kl_div, normalize

from fewshot.distill.lessons import Lessons
from fewshot.distill.losses import imitation_loss
from fewshot.ranges import NOT_NEGATIVE, POSITIVE, Range
from fewshot.training import LoopSettings, TrainingHistory
from fewshot.training.loop import run_loop
from fewshot.training.settings import Schedule
from fewshot.training.store import TrainingFiles

_PART = 1024  # held-out texts that a student embeds at once


@dataclass(frozen=True)
class ImitationSettings(LoopSettings):
    """Settings of the training of a student.

    Args:
        batch: texts in a step.
        similarity_weight: a, of the similarities within a batch.
        probability_weight: b, of the probabilities.

    The other settings are those of `LoopSettings`.
    """

    steps: int = 2000
    evaluate_every: int = 100
    schedule: Schedule = "cosine"
    warmup: float = 0.05
    max_gradient_norm: float | None = 1.0
    batch: int = 256
    similarity_weight: float = 10.0
    probability_weight: float = 1.0

    GROUP: ClassVar[str] = "student"
    RANGES: ClassVar[dict[str, Range]] = LoopSettings.RANGES | {
        "batch": POSITIVE,
        **dict.fromkeys(("similarity_weight", "probability_weight"), NOT_NEGATIVE),
    }

    def draw(self, lessons: Lessons, generator: torch.Generator) -> Int[Tensor, " batch"]:
        """Indices of texts to train on, without replacement."""
        n_batch = min(self.batch, lessons.n_trained)
        return torch.randperm(lessons.n_trained, generator=generator)[:n_batch]


class Imitation(nn.Module):
    """The loss above for texts of some lessons, by index.

    Args:
        embed: `embed(indices)` gives differentiable features `[batch, dim]` of texts of the lessons, of the teacher's
            width and of any length; its parameters are trained.
        lessons: the targets.
        settings: weights of the loss.
    """

    def __init__(self, embed: nn.Module, lessons: Lessons, settings: ImitationSettings):
        super().__init__()
        self.embed, self.lessons, self.settings = embed, lessons, settings

    def forward(self, batch: Int[Tensor, " batch"]) -> dict[str, Float[Tensor, ""]]:
        """The parts of the loss by name, and their weighted sum as `loss`."""
        settings, lessons = self.settings, self.lessons
        features = normalize(self.embed(batch).float(), dim=-1)
        target = lessons.features[batch].to(features.device)
        of_features = imitation_loss(features, target, settings.similarity_weight)
        if lessons.log_probabilities is None:
            return {"loss": of_features}
        expected = lessons.log_probabilities[batch]
        scores = lessons.scores(features.cpu())
        of_classes = kl_div(scores, expected, reduction="batchmean", log_target=True).to(features.device)
        total = of_features + settings.probability_weight * of_classes
        return {"loss": total, "features": of_features, "classes": of_classes}

    def agreement(self) -> float:
        """Agreement of student and teacher on held-out texts, 1 at best.

        With a classifier it is the mean of `sum_c min(p_c(s), p_c(t))`, else that of the cosines.
        """
        shares = []
        with torch.no_grad():
            for indices in self.lessons.held.split(_PART):
                features = normalize(self.embed(indices).float().cpu(), dim=-1)
                if self.lessons.log_probabilities is None:
                    shares.append((features * self.lessons.features[indices]).sum(1))
                else:
                    scores, expected = self.lessons.scores(features), self.lessons.log_probabilities[indices]
                    shares.append(torch.minimum(scores, expected).exp().sum(1))
        return float(torch.cat(shares).double().mean())


def imitate(
    embed: nn.Module,
    lessons: Lessons,
    settings: ImitationSettings,
    groups: Sequence[dict[str, Any]],
    seed: int,
    files: TrainingFiles | None = None,
) -> TrainingHistory:
    """Train a student in place; it keeps the weights with the best agreement on held-out texts.

    Args:
        embed: as in `Imitation`; in eval mode at the end.
        lessons: texts and targets.
        settings: of the training.
        groups: AdamW's parameter groups, see `run_loop`.
        seed: of the batches.
        files: for checkpoints, see `Student.files`; None writes none.
    """
    objective = Imitation(embed, lessons, settings)
    return run_loop(
        settings,
        objective,
        groups,
        lambda step, generator: settings.draw(lessons, generator),
        objective.agreement,
        seed=seed,
        title="Distilling",
        stream="distill",
        count=len,
        files=files,
    )
