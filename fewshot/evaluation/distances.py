"""How tight classes are and how far apart, in the space that a classifier goes by."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def class_distances(
    features: Float[Tensor, "episodes n dim"], ways: Int[Tensor, "episodes n"]
) -> tuple[Float[Tensor, " episodes"], Float[Tensor, " episodes"]]:
    """Intra-class and inter-class distance of each episode, comparable between spaces.

    Each episode is scaled so that the root-mean-square distance of its texts to their mean is 1.  Intra-class is
    then the root-mean-square distance of a text to the mean of its class, inter-class the root-mean-square
    distance between the means of two different classes.

    Args:
        features: texts in the space of the metric.
        ways: the way of each text; -1 for rows that are no text.

    Returns:
        Intra-class and inter-class distance, both in units of that root-mean-square distance.
    """
    n_way = int(ways.max()) + 1
    member = (ways[..., None] == torch.arange(n_way)).to(features.dtype)
    counts = member.sum(1)
    total = counts.sum(1)
    is_text = (ways >= 0).to(features.dtype)[..., None]
    centred = (features - (features * is_text).sum(1, keepdim=True) / total[:, None, None]) * is_text
    spread = centred.square().sum((1, 2)) / total
    means = member.mT @ centred / counts[..., None]
    within = (centred - member @ means) * is_text
    intra = (within.square().sum((1, 2)) / total / spread).sqrt()
    between = torch.cdist(means, means).square().sum((1, 2)) / (n_way * (n_way - 1))
    return intra.double(), (between / spread).sqrt().double()
