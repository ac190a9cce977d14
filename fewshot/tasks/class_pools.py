"""The texts of some classes, class by class."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class ClassPools:
    """The texts of each class that episodes draw from.

    Args:
        classes: class ids, one per row.
        members: text indices of each class, padded with -1 behind `sizes`.
        sizes: number of texts of each class.
        names: the user's labels, for messages.
    """

    classes: Int[Tensor, " n_classes"]
    members: Int[Tensor, "n_classes largest"]
    sizes: Int[Tensor, " n_classes"]
    names: tuple[str, ...]

    @classmethod
    def from_labels(
        cls, labels: Int[Tensor, " n_texts"], classes: Sequence[int], names: Sequence[str] | None = None
    ) -> "ClassPools":
        """Group texts by the class id that each has in `labels`, for `classes` alone and in their order.

        `names` has a name for every class id; the ids themselves when absent.
        """
        groups = [(labels == c).nonzero().flatten() for c in classes]
        members = torch.nn.utils.rnn.pad_sequence(groups, batch_first=True, padding_value=-1)
        sizes = torch.tensor([len(group) for group in groups])
        return cls(torch.tensor(list(classes)), members, sizes, tuple(names[c] if names else str(c) for c in classes))

    def thinned(self, max_texts: int) -> "ClassPools":
        """The same classes with at most `max_texts` texts each, spread evenly over the texts of a class.

        Example:
            >>> pools = ClassPools.from_labels(torch.tensor([0] * 9 + [1] * 2), classes=[0, 1])
            >>> pools.thinned(3).members.tolist()
            [[0, 3, 6], [9, 10, -1]]
        """
        sizes = self.sizes.clamp(max=max_texts)
        places = torch.arange(int(sizes.max())) * self.sizes[:, None] // sizes[:, None]
        beyond = torch.arange(int(sizes.max())) >= sizes[:, None]
        members = self.members.gather(1, places.masked_fill(beyond, 0)).masked_fill(beyond, -1)
        return replace(self, members=members, sizes=sizes)
