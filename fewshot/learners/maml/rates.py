"""The rates of the inner loop: fixed, or meta-learned."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fewshot.learners.maml.network import HEAD, HIDDEN, NamedParameters, Parameters
from fewshot.learners.maml.settings import MAMLSettings


class InnerRates(nn.Module):
    """`rate = inner_lr * (1 + change)`, with `change = 0` at the start; decaying the change pulls back to `inner_lr`.

    | kind | changes | source |
    |---|---|---|
    | fixed | none | Finn et al. 2017, "Model-Agnostic Meta-Learning" |
    | learned | one | |
    | per_layer_and_step | one for each tensor and step | Antoniou et al. 2019, "How to train your MAML" (MAML++) |
    | per_parameter | one for each element, all steps alike | Li et al. 2017, "Meta-SGD" |

    As in those papers a rate may become negative.

    Args:
        kind: one of the table.
        inner_lr: first value of all rates.
        steps: steps of the inner loop.
        shapes: name of each adapted tensor → the shape of its rates in `per_parameter`.
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
