"""Train a projection that several tasks share, and a head for each, on features that are computed once.

    z = normalize(x + x W)        logit_c(x) = scale * z . w_tc / |w_tc|        L = sum_t w_t CE_t, see `weights`

`W` starts at zero and the rows at the prototypes, so that training starts from the separate classifiers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.adaptation.head import CosineHead
from fewshot.encoders import Encoder
from fewshot.episodes.labelled import LabelledTexts
from fewshot.errors import ConfigError
from fewshot.evaluation import fit_temperature
from fewshot.joint.weights import WEIGHTINGS, TaskWeights
from fewshot.learners.prototypical import ResidualProjection
from fewshot.ranges import NOT_NEGATIVE, POSITIVE, Range, one_of
from fewshot.text_classifier import TextClassifier
from fewshot.training import LoopSettings, run_loop

SCALE = 20.0


@dataclass(frozen=True)
class JointTraining(LoopSettings):
    """Settings of the training of several tasks together.

    Args:
        weighting: of the tasks: `"equal"`, `"uncertainty"` or `"dynamic"`, see `fewshot.joint.weights`.
        batch: texts of each task in a step.
        learning_rate: AdamW's, of the shared projection.
        head_learning_rate: of the rows and of the uncertainties.
        weight_decay: pulls the projection to the identity.
        held_out: share of each class by which training is stopped and tasks are weighted.

    The other settings are those of `LoopSettings`.
    """

    steps: int = 300
    evaluate_every: int = 10
    patience: int = 10

    weighting: str = "equal"
    batch: int = 64
    learning_rate: float = 1e-3
    head_learning_rate: float = 5e-3
    weight_decay: float = 0.01
    held_out: float = 0.2

    GROUP: ClassVar[str] = "joint"
    RANGES: ClassVar[dict[str, Range]] = LoopSettings.RANGES | {
        **dict.fromkeys(("batch", "learning_rate", "head_learning_rate"), POSITIVE),
        "weight_decay": NOT_NEGATIVE,
        "weighting": one_of(*WEIGHTINGS),
        "held_out": (lambda share: 0 < share < 1, "a share between 0 and 1 (neither of them)"),
    }

    def fit(self, encoder: Encoder, tasks: Mapping[str, LabelledTexts], seed: int = 0) -> dict[str, TextClassifier]:
        """A classifier for each task, all over the same projection.

        Args:
            encoder: is not changed.
            tasks: two texts or more of some class each.
            seed: streams `held out`, `joint`.

        Raises:
            ConfigError: no task, or one without a text to hold out.
        """
        if not tasks or any(int(support.counts.max()) < 2 for support in tasks.values()):
            raise ConfigError(
                f"Got the tasks {list(tasks)}, expected one or more, each with two texts of some class, of which one "
                f"is held out. Add texts, or leave the task out."
            )
        parts = [_Part.of(encoder, support, self.held_out, seed) for support in tasks.values()]
        model = _Joint(parts, TaskWeights(len(parts), self.weighting))
        shared, others = list(model.projection.parameters()), [*model.rows, *model.weights.parameters()]
        groups = [
            {"params": shared, "lr": self.learning_rate, "weight_decay": self.weight_decay},
            {"params": [p for p in others if p.requires_grad], "lr": self.head_learning_rate, "weight_decay": 0.0},
        ]

        def draw(step: int, generator: torch.Generator) -> list[Tensor]:
            return [torch.randint(len(part.classes), (self.batch,), generator=generator) for part in parts]

        run_loop(self, model, groups, draw, model.score, seed=seed, title="Joint training", stream="joint")
        return {name: model.classifier(index, encoder, support) for index, (name, support) in enumerate(tasks.items())}


@dataclass(frozen=True)
class _Part:
    """The features of the trained and of the held-out texts of a task."""

    features: Float[Tensor, "n dim"]
    classes: Int[Tensor, " n"]
    held_out: Float[Tensor, "n_held dim"]
    held_classes: Int[Tensor, " n_held"]
    n_classes: int

    @classmethod
    def of(cls, encoder: Encoder, support: LabelledTexts, share: float, seed: int) -> "_Part":
        kept, held_out = support.held_out(share, seed)
        features = normalize(encoder.encode(support.with_names_as_texts().texts), dim=-1)
        rows = torch.cat([kept, torch.arange(len(support.texts), len(features))])
        classes = support.with_names_as_texts().classes[rows]
        return cls(features[rows], classes, features[held_out], support.classes[held_out], len(support.labels))


class _Joint(nn.Module):
    """The losses of all tasks."""

    def __init__(self, parts: list[_Part], weights: TaskWeights):
        super().__init__()
        self.parts, self.weights = parts, weights
        self.projection = ResidualProjection(parts[0].features.shape[1], centring=0.0)
        zeros = [torch.zeros(part.n_classes, part.features.shape[1]) for part in parts]
        sums = [zero.index_add_(0, part.classes, part.features) for zero, part in zip(zeros, parts, strict=True)]
        self.rows = nn.ParameterList([nn.Parameter(normalize(each, dim=-1)) for each in sums])

    def forward(self, batch: list[Int[Tensor, " batch"]]) -> dict[str, Tensor]:
        losses = [
            nn.functional.cross_entropy(self.logits(task, part.features[chosen]), part.classes[chosen])
            for task, (part, chosen) in enumerate(zip(self.parts, batch, strict=True))
        ]
        return {"loss": self.weights.total(torch.stack(losses))}

    def logits(self, task: int, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n n_classes"]:
        return SCALE * self.projection(features) @ normalize(self.rows[task], dim=-1).T

    def score(self) -> float:
        """Mean held-out accuracy over the tasks; updates the weights of the tasks."""
        logits = [self.logits(task, part.held_out) for task, part in enumerate(self.parts)]
        self.weights.observe([each.log_softmax(-1) for each in logits])
        hits = [each.argmax(1) == part.held_classes for each, part in zip(logits, self.parts, strict=True)]
        return float(torch.stack([each.double().mean() for each in hits]).mean())

    def classifier(self, task: int, encoder: Encoder, support: LabelledTexts) -> TextClassifier:
        """The classifier of a task, calibrated on its held-out texts."""
        part = self.parts[task]
        head = CosineHead(self.projection, self.rows[task].detach(), SCALE).requires_grad_(False)
        with torch.no_grad():
            temperature = fit_temperature(self.logits(task, part.held_out)[None], part.held_classes[None])
        details = {"stage": "joint", "weighting": self.weights.weighting, "n_texts": len(support.texts)}
        return TextClassifier(encoder, head.classifier(), support.labels, temperature, details)
