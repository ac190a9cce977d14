"""Metrics of a batch of episodes, from logits."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def accuracy(
    logits: Float[Tensor, "episodes n_query n_way"], targets: Int[Tensor, "episodes n_query"]
) -> Float[Tensor, " episodes"]:
    """Share of queries whose largest logit is their own way."""
    return (logits.argmax(-1) == targets).double().mean(-1)


def macro_f1(
    logits: Float[Tensor, "episodes n_query n_way"], targets: Int[Tensor, "episodes n_query"]
) -> Float[Tensor, " episodes"]:
    """Mean over ways of F1; a way that is never predicted and has no queries counts as 0, as in scikit-learn."""
    predicted, actual = _one_hot(logits, targets)
    f1 = 2 * (predicted * actual).sum(1) / (predicted.sum(1) + actual.sum(1)).clamp(min=1)
    return f1.mean(-1)


def macro_f1_shares(
    logits: Float[Tensor, "episodes n_query n_way"], targets: Int[Tensor, "episodes n_query"]
) -> Float[Tensor, "episodes n_query"]:
    """Each query's share in an episode's macro-F1: values whose mean is the macro-F1, and whose spread is its spread.

    Macro-F1 plus, for each query, the number of queries times the derivative by the query's weight (the infinitesimal
    jackknife); for accuracy this gives the 1 or 0 of the query.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 21.
    """
    n_query, n_way = logits.shape[1:]
    predicted, actual = _one_hot(logits, targets)
    hits, sizes = (predicted * actual).sum(1), (predicted.sum(1) + actual.sum(1)).clamp(min=1)
    of_hit, of_member = 2 / sizes, 2 * hits / sizes.square()  # F1 = 2 hits / sizes
    derivative = (predicted * actual) @ of_hit[..., None] - (predicted + actual) @ of_member[..., None]
    return macro_f1(logits, targets)[:, None] + n_query / n_way * derivative[..., 0]


def _one_hot(logits: Tensor, targets: Tensor) -> list[Tensor]:
    ways = (logits.argmax(-1), targets)
    return [torch.nn.functional.one_hot(way, logits.shape[-1]).double() for way in ways]


def expected_calibration_error(
    logits: Float[Tensor, "episodes n_query n_way"],
    targets: Int[Tensor, "episodes n_query"],
    temperature: float | Float[Tensor, "_ 1 1"] = 1.0,
    n_bins: int = 15,
) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, weighted by their queries, in `[0, 1]`.

    Args:
        logits: raw logits.
        targets: the way of each query.
        temperature: divides the logits; one for all, or one for each episode.
        n_bins: number of bins.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    confidence, predicted = (logits.double() / temperature).softmax(-1).max(-1)
    correct = (predicted == targets).double().flatten()
    confidence = confidence.flatten()
    bins = (confidence * n_bins).long().clamp(max=n_bins - 1)
    gaps = torch.zeros(n_bins, dtype=torch.double).index_add_(0, bins, correct - confidence)
    return float(gaps.abs().sum() / len(confidence))
