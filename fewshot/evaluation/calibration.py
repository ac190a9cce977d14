"""One temperature, fitted without the test classes."""

import math

import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from torch import Tensor


def fit_temperature(logits: Float[Tensor, "episodes n_query n_way"], targets: Int[Tensor, "episodes n_query"]) -> float:
    """The temperature in `[0.01, 100]` that minimises the cross-entropy of the logits divided by it.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.
    """
    flat, target = logits.double().flatten(0, 1), targets.flatten()

    def loss(log_temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(flat / math.exp(log_temperature), target))

    bound = math.log(100)
    return math.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x)
