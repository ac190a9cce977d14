"""Probabilities that mean what they say: one temperature, from texts that the head was not tuned on."""

from jaxtyping import Float, Int
from torch import Tensor

from fewshot.adaptation.head import CosineHead
from fewshot.evaluation import fit_temperature


def calibrate(head: CosineHead, logits: Float[Tensor, "n_held n_classes"], classes: Int[Tensor, " n_held"]) -> None:
    """Set the temperature of a head.

    Args:
        head: changed in place; its logits before the temperature are `logits`, or near them.
        logits: of held-out texts; none leave the temperature as it is.
        classes: the class of each.
    """
    if len(logits):
        head.temperature.fill_(fit_temperature(logits[None], classes[None]))
