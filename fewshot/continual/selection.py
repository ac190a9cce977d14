"""Choose a few texts that represent many: the k-center choice.

Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance"; for choosing texts Sener and Savarese
2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", https://arxiv.org/abs/1708.00489.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def k_center(features: Float[Tensor, "n dim"], classes: Int[Tensor, " n"], per_class: int) -> Int[Tensor, " n_kept"]:
    """Indices of at most `per_class` texts of each class, such that every other text of the class is near one of them.

    The first is the one nearest to the mean of the class; each next one is the farthest from all before.
    """
    kept = []
    for number in classes.unique().tolist():
        indices = (classes == number).nonzero().flatten()
        of_class = features[indices]
        chosen = [int((of_class - of_class.mean(0)).norm(dim=1).argmin())]
        distance = (of_class - of_class[chosen[0]]).norm(dim=1)
        while len(chosen) < min(per_class, len(indices)):
            chosen.append(int(distance.argmax()))
            distance = torch.minimum(distance, (of_class - of_class[chosen[-1]]).norm(dim=1))
        kept.append(indices[torch.tensor(chosen)])
    return torch.cat(kept).sort().values if kept else torch.zeros(0, dtype=torch.long)
