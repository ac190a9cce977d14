"""Metrics of a batch of episodes, a temperature, and distances of classes."""

import math

import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from torch import Tensor

_PART = 4_000_000  # logits whose probabilities are computed at once


def accuracy(
    logits: Float[Tensor, "episodes n_query n_way"], targets: Int[Tensor, "episodes n_query"]
) -> Float[Tensor, " episodes"]:
    """Share of queries whose largest logit is that of their way."""
    return (logits.argmax(-1) == targets).double().mean(-1)


def macro_f1(
    logits: Float[Tensor, "episodes n_query n_way"], targets: Int[Tensor, "episodes n_query"]
) -> Float[Tensor, " episodes"]:
    """Mean of F1 over the ways that have queries or are predicted, as in scikit-learn."""
    hits, sizes, n_present = _hits_and_sizes(logits.argmax(-1), targets, logits.shape[-1])
    return (2 * hits / sizes).sum(-1) / n_present


def macro_f1_shares(
    logits: Float[Tensor, "episodes n_query n_way"], targets: Int[Tensor, "episodes n_query"]
) -> Float[Tensor, "episodes n_query"]:
    """Each query's share in an episode's macro-F1: values whose mean is the macro-F1, and whose spread is its spread.

    Macro-F1 plus, for each query, the number of queries times the derivative by the query's weight (the infinitesimal
    jackknife); for accuracy this gives the 1 or 0 of the query.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 21.
    """
    n_query, n_way = logits.shape[1:]
    predicted = logits.argmax(-1)
    hits, sizes, n_present = _hits_and_sizes(predicted, targets, n_way)
    of_hit, of_member = 2 / sizes, 2 * hits / sizes.square()  # F1 = 2 hits / sizes
    derivative = (predicted == targets) * of_hit.gather(1, targets)
    derivative = derivative - of_member.gather(1, predicted) - of_member.gather(1, targets)
    return ((2 * hits / sizes).sum(-1)[:, None] + n_query * derivative) / n_present[:, None]


def _hits_and_sizes(predicted: Tensor, targets: Tensor, n_way: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each way its hits, and its queries plus its predictions, at least 1; and the number of ways with any."""
    zeros = torch.zeros(len(targets), n_way, dtype=torch.double)
    hits = zeros.scatter_add(1, targets, (predicted == targets).double())
    ones = torch.ones_like(targets, dtype=torch.double)
    sizes = zeros.scatter_add(1, targets, ones).scatter_add_(1, predicted, ones)
    return hits, sizes.clamp(min=1), (sizes > 0).sum(-1)


def confidences(
    logits: Float[Tensor, "episodes n_query n_way"],
) -> tuple[Float[Tensor, "episodes n_query"], Int[Tensor, "episodes n_query"]]:
    """The largest probability of each query, in double precision, and its way; in parts that fit into memory."""
    size, shape = max(1, _PART // logits.shape[-1]), logits.shape[:2]
    parts = [part.double().softmax(-1).max(-1) for part in logits.flatten(0, 1).split(size)]
    values, ways = (torch.cat(list(each)).view(shape) for each in zip(*parts, strict=True))
    return values, ways


def expected_calibration_error(
    logits: Float[Tensor, "episodes n_query n_way"],
    targets: Int[Tensor, "episodes n_query"],
    n_bins: int = 15,
) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, weighted by their queries, in `[0, 1]`.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    confidence, predicted = confidences(logits)
    correct = (predicted == targets).double().flatten()
    confidence = confidence.flatten()
    bins = (confidence * n_bins).long().clamp(max=n_bins - 1)
    gaps = torch.zeros(n_bins, dtype=torch.double).index_add_(0, bins, correct - confidence)
    return float(gaps.abs().sum() / len(confidence))


def fit_temperature(
    logits: Float[Tensor, "episodes n_query n_way"],
    targets: Int[Tensor, "episodes n_query"],
    label_smoothing: float = 0.0,
) -> float:
    """The temperature in `[0.01, 100]` that minimises the cross-entropy of the logits divided by it.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2. Without smoothed targets, a few
    texts that are all right would have a temperature of 0; see Platt 1999, "Probabilistic Outputs for Support Vector
    Machines".
    """
    size = max(1, _PART // logits.shape[-1])
    parts = list(zip(logits.flatten(0, 1).split(size), targets.flatten().split(size), strict=True))

    def loss(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        losses = [
            torch.nn.functional.cross_entropy(
                part.double() / temperature, target, label_smoothing=label_smoothing, reduction="none"
            )
            for part, target in parts
        ]
        return float(torch.cat(losses).mean())

    bound = math.log(100)
    return math.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x)


def class_distances(
    features: Float[Tensor, "episodes n dim"], ways: Int[Tensor, "episodes n"]
) -> tuple[Float[Tensor, " episodes"], Float[Tensor, " episodes"]]:
    """Intra-class and inter-class distance of each episode, comparable between spaces.

    Each episode is scaled so that the root-mean-square distance of its texts to their mean is 1.  Intra-class is
    then the root-mean-square distance of a text to the mean of its class, inter-class that between the means of two
    different classes.

    Args:
        features: texts in the space of the metric.
        ways: the way of each text; -1 for padding.
    """
    n_way = int(ways.max()) + 1
    member = (ways[..., None] == torch.arange(n_way)).to(features.dtype)
    counts = member.sum(1).double()
    total = counts.sum(1)
    # Sums of squares about a mean from plain sums, in float64: one pass over the features, no copy of them.
    sums = (member.mT @ features).double()
    squares = (features.square().sum(-1) * (ways >= 0)).double().sum(1)
    means = sums / counts[..., None]
    about_classes = squares - (counts * means.square().sum(-1)).sum(1)
    about_centre = squares - sums.sum(1).square().sum(-1) / total
    between = 2 * (means.square().sum((1, 2)) * n_way - means.sum(1).square().sum(-1)) / (n_way * (n_way - 1))
    spread = about_centre / total
    return (about_classes / about_centre).clamp(min=0).sqrt(), (between / spread).clamp(min=0).sqrt()
