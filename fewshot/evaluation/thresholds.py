"""Thresholds on scores: by a rate for further scores, and by accuracy and recall.

Source: Vovk et al. 2005, "Algorithmic Learning in a Random World", for the finite-sample quantile.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def lower_quantile(scores: Float[Tensor, " n"], rate: float) -> float:
    """The largest threshold below which at most a share `rate` of further scores is expected; -inf if there is none.

    Example:
        >>> lower_quantile(torch.arange(19.0), 0.05), lower_quantile(torch.arange(18.0), 0.05)
        (0.0, -inf)
    """
    rank = math.floor(rate * (len(scores) + 1) + 1e-9)
    return float(scores.kthvalue(rank).values) if rank else -math.inf


def best_threshold(
    in_scope: Float[Tensor, " n"], right: Bool[Tensor, " n"], out_of_scope: Float[Tensor, " n_out"]
) -> float:
    """The threshold with the highest mean of in-scope accuracy and out-of-scope recall, half way between two scores.

    An in-scope text counts as right if it is classified rightly and not rejected. Of equally good thresholds it is the
    middle one.

    Example:
        >>> best_threshold(torch.tensor([1.0, 3.0, 4.0]), torch.tensor([False, True, True]), torch.tensor([0.0, 2.0]))
        2.5
    """
    scores, order = torch.cat([in_scope, out_of_scope]).sort()
    gains = torch.cat(
        [-right.double() / max(len(in_scope), 1), torch.full((len(out_of_scope),), 1 / len(out_of_scope))]
    )
    totals = torch.cat([torch.zeros(1, dtype=torch.double), gains.double()[order].cumsum(0)])  # by number of rejected
    bounds = torch.cat([scores[:1] - 1, scores, scores[-1:] + 1]).double()
    distinct = bounds[1:] > bounds[:-1]
    totals = totals.masked_fill(~distinct, -math.inf)
    best = (totals >= totals.max() - 1e-9).nonzero().flatten()
    middle = int(best[len(best) // 2])
    return float((bounds[middle] + bounds[middle + 1]) / 2)
