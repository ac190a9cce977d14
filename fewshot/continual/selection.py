"""Which few texts stand best for many: the k-center choice.

Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance"; for choosing texts Sener and Savarese
2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", https://arxiv.org/abs/1708.00489.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def k_center(features: Float[Tensor, "n dim"], classes: Int[Tensor, " n"], per_class: int) -> Int[Tensor, " n_kept"]:
    """Places of at most `per_class` texts of each class, such that every other one of the class is near one of them.

    The first is the one nearest to the mean of the class; each next one is the farthest from all before.
    """
    kept = []
    for number in classes.unique().tolist():
        places = (classes == number).nonzero().flatten()
        own = features[places]
        chosen = [int((own - own.mean(0)).norm(dim=1).argmin())]
        distance = (own - own[chosen[0]]).norm(dim=1)
        while len(chosen) < min(per_class, len(places)):
            chosen.append(int(distance.argmax()))
            distance = torch.minimum(distance, (own - own[chosen[-1]]).norm(dim=1))
        kept.append(places[torch.tensor(chosen)])
    return torch.cat(kept).sort().values if kept else torch.zeros(0, dtype=torch.long)
