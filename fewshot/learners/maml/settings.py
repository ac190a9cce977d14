"""The settings of MAML, the combinations of them that contradict each other, and the rates of the inner loop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from fewshot.errors import ConfigError, as_typed
from fewshot.learners.maml import learn2learn
from fewshot.learners.maml.network import HEAD, HIDDEN, NamedParameters, Parameters
from fewshot.ranges import POSITIVE, Range, RangedSettings, one_of, or_null

Adapts = Literal["head", "network"]
HeadInit = Literal["prototypes", "learned"]
Rates = Literal["fixed", "learned", "per_layer_and_step", "per_parameter"]
Engine = Literal["fewshot", "learn2learn"]


@dataclass(frozen=True)
class MAMLSettings(RangedSettings):
    """The settings of a member of the family, see `MAML` for each; a ConfigError names all that contradicts itself."""

    inner_lr: float
    meta_lr: float | None
    inner_steps: int
    first_order: bool
    adapts: Adapts
    hidden: int | None
    head_init: HeadInit
    ways: int | None
    rates: Rates
    multi_step_loss: bool
    reptile: bool
    engine: Engine
    scale: float

    GROUP: ClassVar[str] = "learner"
    RANGES: ClassVar[dict[str, Range]] = {
        **dict.fromkeys(("inner_lr", "inner_steps", "scale"), POSITIVE),
        **dict.fromkeys(("meta_lr", "hidden"), or_null(POSITIVE)),
        "adapts": one_of(*get_args(Adapts)),
        "head_init": one_of(*get_args(HeadInit)),
        "rates": one_of(*get_args(Rates)),
        "engine": one_of(*get_args(Engine)),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if problems := self._contradictions():
            raise ConfigError("\n".join(problems))
        if self.engine == "learn2learn":
            learn2learn.algorithms()

    def check_on_features(self) -> None:
        """Raise a ConfigError for Reptile with nothing to learn, for an inner loop on features."""
        if self.reptile and self.adapts == "head" and self.head_init == "prototypes":
            raise ConfigError(
                "Got learner.reptile=true where only a head that starts at the prototypes is adapted: Reptile moves "
                "first values that are learned. Set learner.head_init=learned, or adapt more than the head."
            )

    def check_through_encoder(self) -> None:
        """Raise a ConfigError for a hidden layer, or learn2learn's MetaSGD, for an inner loop through the encoder."""
        if self.hidden is not None:
            raise ConfigError(
                f"Got learner.hidden={self.hidden} with training=through_encoder, whose head is linear. Set "
                f"learner.hidden=null."
            )
        if self.engine == "learn2learn" and self.rates == "per_parameter":
            raise ConfigError(
                "Got learner.engine=learn2learn with learner.rates=per_parameter and training=through_encoder: its "
                "MetaSGD wants a gradient for every parameter. Set learner.engine=fewshot."
            )

    @property
    def second_order(self) -> bool:
        """Whether the outer loop differentiates the gradients of the inner one."""
        return not (self.first_order or self.reptile)

    def learned_head(self, width: int) -> dict[str, Tensor]:
        """First values of a learned head, by name; none where it starts at prototypes."""
        if self.ways is None:
            return {}
        return dict(zip(HEAD, (torch.zeros(self.ways, width), torch.zeros(self.ways)), strict=True))

    def check_ways(self, n_way: int) -> None:
        """Raise a ConfigError for episodes of another number of classes than a learned head has."""
        if self.ways not in (None, n_way):
            raise ConfigError(
                f"Got episodes of {n_way} classes for a learned head of learner.ways={self.ways}. Set ways={self.ways} "
                f"and training.ways={self.ways}, or learner.head_init=prototypes, which takes any number."
            )

    def _contradictions(self) -> list[str]:
        problems = []
        if self.adapts == "network" and self.hidden is None:
            problems.append(
                "Got learner.adapts=network without a hidden layer, which leaves only the head to adapt. "
                "Set learner.hidden=128, or learner.adapts=head."
            )
        if (self.head_init == "learned") != (self.ways is not None and self.ways >= 2):
            problems.append(
                f"Got learner.head_init={self.head_init} with learner.ways={as_typed(self.ways)}: a learned head has "
                f"one row for each of a fixed number of classes, prototypes take any number. Set "
                f"learner.head_init=learned with learner.ways=5 and training.ways=5, or "
                f"learner.head_init=prototypes with learner.ways=null."
            )
        if self.reptile and (self.rates != "fixed" or self.multi_step_loss):
            problems.append(
                "Got learner.reptile=true with learned rates or a multi-step loss, which take gradients of the query "
                "loss that Reptile does without. Set learner.rates=fixed and learner.multi_step_loss=false."
            )
        if self.engine == "learn2learn" and self.rates == "per_layer_and_step":
            problems.append(
                "Got learner.engine=learn2learn with learner.rates=per_layer_and_step: its MAML has one rate. Set "
                "learner.engine=fewshot."
            )
        return problems


class InnerRates(nn.Module):
    """`rate = inner_lr * (1 + change)`, with `change = 0` at the start; decaying the change pulls back to `inner_lr`.

    | kind | changes | source |
    |---|---|---|
    | fixed | none | Finn et al. 2017, "Model-Agnostic Meta-Learning" |
    | learned | one | |
    | per_layer_and_step | one for each tensor and step | Antoniou et al. 2019, "How to train your MAML" (MAML++) |
    | per_parameter | one for each element, all steps alike | Li et al. 2017, "Meta-SGD" |

    As in those papers a rate may become negative. `shapes` are those of the rates of each tensor in `per_parameter`.
    """

    @classmethod
    def of(cls, settings: MAMLSettings, adapted: Parameters, width: int) -> "InnerRates":
        """The rates of what is adapted; the classes of a head that starts at prototypes of some width share theirs."""
        shapes = {name: tuple(value.shape) for name, value in adapted.items()}
        hidden = {name: shapes[name] for name in HIDDEN if name in shapes}
        shapes = hidden | dict(zip(HEAD, ((width,), ()), strict=True)) | shapes
        return cls(settings.rates, settings.inner_lr, settings.inner_steps, shapes)

    def __init__(self, kind: str, inner_lr: float, steps: int, shapes: Mapping[str, Sequence[int]]):
        super().__init__()
        self.kind, self.inner_lr, self.names = kind, inner_lr, tuple(shapes)
        shapes_of: dict[str, Mapping[str, Sequence[int]]] = {
            "fixed": {},
            "learned": {"all": ()},
            "per_layer_and_step": dict.fromkeys(shapes, (steps,)),
            "per_parameter": shapes,
        }
        self.changes = NamedParameters({name: torch.zeros(tuple(shape)) for name, shape in shapes_of[kind].items()})

    def forward(self, step: int) -> dict[str, Tensor | float]:
        """Name → rate of a step."""
        changes = self.changes.named()
        if self.kind == "fixed":
            return dict.fromkeys(self.names, self.inner_lr)
        if self.kind == "learned":
            return dict.fromkeys(self.names, self.inner_lr * (1 + changes["all"]))
        own = {n: change[step] if self.kind == "per_layer_and_step" else change for n, change in changes.items()}
        return {name: self.inner_lr * (1 + change) for name, change in own.items()}
