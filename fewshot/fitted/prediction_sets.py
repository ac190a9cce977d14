"""Sets of labels that contain the right one with a given probability: split conformal prediction.

    s_i = 1 - p_i(y_i)  on texts held out        set(x) = {c : 1 - p_c(x) <= q},   q = the ceil((n + 1) coverage)-th s

Source: Sadinle, Lei and Wasserman 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels",
https://arxiv.org/abs/1609.00451; on cross-validated scores as in Barber et al. 2021, "Predictive inference with the
jackknife+", https://arxiv.org/abs/1905.02928.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fewshot.errors import ConfigError


def nonconformity(probabilities: Float[Tensor, "n n_classes"], classes: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """One minus the probability of the right class, in ascending order."""
    return (1 - probabilities.gather(1, classes[:, None])[:, 0]).sort().values


def threshold(scores: Float[Tensor, " n"], coverage: float) -> float:
    """The largest nonconformity of a label in a set; infinite if there are too few scores.

    Args:
        scores: of texts held out, ascending.
        coverage: share of new texts whose set contains the right label.

    Raises:
        ConfigError: the coverage is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ConfigError(f"Got a coverage of {coverage}, expected a number between 0 and 1. Write coverage=0.9.")
    rank = math.ceil((len(scores) + 1) * coverage)
    return float(scores[rank - 1]) if rank <= len(scores) else math.inf


def members(probabilities: Float[Tensor, "n n_classes"], largest: float) -> Bool[Tensor, "n n_classes"]:
    """The labels in the set of each text; the most probable one is always in it."""
    chosen = 1 - probabilities <= largest
    return chosen.scatter(1, probabilities.argmax(1, keepdim=True), torch.ones_like(chosen[:, :1]))
