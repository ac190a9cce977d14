"""Train a projection that several tasks share, and a head for each, on features that are computed once.

    z = normalize(x + x W)        logit_c(x) = scale * z . w_tc / |w_tc|        L = sum_t w_t CE_t, see `weights`

`W` starts at zero and the rows at the prototypes, so that training starts from what each task is without the others.
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
    """How several tasks are trained together.

    Args:
        weighting: how much each weighs: `"equal"`, `"uncertainty"` or `"dynamic"`, see `fewshot.joint.weights`.
        batch: texts of each task in a step.
        learning_rate: AdamW's, of the shared projection.
        head_learning_rate: of the rows and of the uncertainties.
        weight_decay: pulls the projection to the identity.
        held_out: share of each class on which training is stopped and weights are found.

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
            ConfigError: no task, or one of which nothing can be held out.
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
            {
                "params": [own for own in others if own.requires_grad],
                "lr": self.head_learning_rate,
                "weight_decay": 0.0,
            },
        ]

        def draw(step: int, generator: torch.Generator) -> list[Tensor]:
            return [torch.randint(len(part.classes), (self.batch,), generator=generator) for part in parts]

        run_loop(self, model, groups, draw, model.score, seed=seed, title="Joint training", stream="joint")
        return {name: model.classifier(place, encoder, support) for place, (name, support) in enumerate(tasks.items())}


@dataclass(frozen=True)
class _Part:
    """The texts of a task that are trained on, and those that are held out, as features."""

    features: Float[Tensor, "n dim"]
    classes: Int[Tensor, " n"]
    held: Float[Tensor, "n_held dim"]
    held_classes: Int[Tensor, " n_held"]
    n_classes: int

    @classmethod
    def of(cls, encoder: Encoder, support: LabelledTexts, share: float, seed: int) -> "_Part":
        kept, held = support.held_out(share, seed)
        features = normalize(encoder.encode(support.with_names_as_texts().texts), dim=-1)
        rows = torch.cat([kept, torch.arange(len(support.texts), len(features))])
        classes = support.with_names_as_texts().classes[rows]
        return cls(features[rows], classes, features[held], support.classes[held], len(support.labels))


class _Joint(nn.Module):
    """The losses of all tasks."""

    def __init__(self, parts: list[_Part], weights: TaskWeights):
        super().__init__()
        self.parts, self.weights = parts, weights
        self.projection = ResidualProjection(parts[0].features.shape[1], centring=0.0)
        sums = [torch.zeros(part.n_classes, part.features.shape[1]) for part in parts]
        rows = [own.index_add_(0, part.classes, part.features) for own, part in zip(sums, parts, strict=True)]
        self.rows = nn.ParameterList([nn.Parameter(normalize(own, dim=-1)) for own in rows])

    def forward(self, batch: list[Int[Tensor, " batch"]]) -> dict[str, Tensor]:
        losses = [
            nn.functional.cross_entropy(self.logits(place, part.features[chosen]), part.classes[chosen])
            for place, (part, chosen) in enumerate(zip(self.parts, batch, strict=True))
        ]
        return {"loss": self.weights.total(torch.stack(losses))}

    def logits(self, place: int, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n n_classes"]:
        return SCALE * self.projection(features) @ normalize(self.rows[place], dim=-1).T

    def score(self) -> float:
        """Mean accuracy over the tasks on what is held out, after which the weights are those that it shows."""
        logits = [self.logits(place, part.held) for place, part in enumerate(self.parts)]
        self.weights.observe([own.log_softmax(-1) for own in logits])
        hits = [own.argmax(1) == part.held_classes for own, part in zip(logits, self.parts, strict=True)]
        return float(torch.stack([own.double().mean() for own in hits]).mean())

    def classifier(self, place: int, encoder: Encoder, support: LabelledTexts) -> TextClassifier:
        """One task by itself, calibrated on what was held out."""
        part = self.parts[place]
        head = CosineHead(self.projection, self.rows[place].detach(), SCALE).requires_grad_(False)
        with torch.no_grad():
            temperature = fit_temperature(self.logits(place, part.held)[None], part.held_classes[None])
        details = {"stage": "joint", "weighting": self.weights.weighting, "n_texts": len(support.texts)}
        return TextClassifier(encoder, head.classifier(), support.labels, temperature, details)
