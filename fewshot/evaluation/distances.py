"""Distances within and between classes, in the space of a classifier's metric."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def class_distances(
    features: Float[Tensor, "episodes n dim"], ways: Int[Tensor, "episodes n"]
) -> tuple[Float[Tensor, " episodes"], Float[Tensor, " episodes"]]:
    """Intra-class and inter-class distance of each episode, comparable between spaces.

    Each episode is scaled so that the root-mean-square distance of its texts to their mean is 1.  Intra-class is
    then the root-mean-square distance of a text to the mean of its class, inter-class that between the means of two
    different classes.

    Args:
        features: texts in the space of the metric.
        ways: the way of each text; -1 for rows that are no text.
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
