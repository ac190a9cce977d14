"""Which proposed texts still mean the same as the text that they were made from.

    keep t' of t  iff  lowest <= cos(t', t) <= highest,
                       cos(t', u) < duplicate for every u that was kept of t before, and, where prototypes are known,
                       cos(t', p_own) - cos(t', p_other) > margin for every other prototype
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.errors import ConfigError

Reason = Literal["task_text", "repeated", "too_far", "too_near", "other_class", "near_duplicate", "not_needed"]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True)
class Verdict:
    """What the filter says of one proposal.

    Args:
        dropped: why it is left out; None if it is kept.
        cosine: to the text that it was made from; NaN if it was not embedded.
        margin: cosine to its own prototype minus that to the nearest other; None if prototypes are not known.
    """

    dropped: Reason | None
    cosine: float
    margin: float | None = None


@dataclass(frozen=True)
class Prototypes:
    """Unit vectors of two classes or more, and the margin in cosine by which a kept text is nearer to its own."""

    rows: Float[Tensor, "n_classes dim"]
    margin: float = 0.0

    def margins(self, features: Float[Tensor, "n dim"], own: int) -> Float[Tensor, " n"]:
        """Cosine to the prototype of class `own` minus the largest to another."""
        cosines = features @ self.rows.T
        others = cosines.clone()
        others[:, own] = -torch.inf
        return cosines[:, own] - others.max(1).values


@dataclass(frozen=True)
class SemanticFilter:
    """A band of cosines, and no near-duplicates.

    Args:
        lowest_cosine: to the source, for a text that still means the same.
        highest_cosine: to the source, for a text that adds something.
        duplicate_cosine: between two texts of one source, from which on they are the same.

    Raises:
        ConfigError: the three are not in order.
    """

    lowest_cosine: float = 0.3
    highest_cosine: float = 0.995
    duplicate_cosine: float = 0.995

    def __post_init__(self) -> None:
        if not -1 <= self.lowest_cosine < self.highest_cosine <= 1:
            raise ConfigError(
                f"Got augment.lowest_cosine={self.lowest_cosine} and augment.highest_cosine={self.highest_cosine}, "
                f"expected a band between -1 and 1 such as 0.3 and 0.995."
            )
        if not 0 < self.duplicate_cosine <= 1:
            raise ConfigError(
                f"Got augment.duplicate_cosine={self.duplicate_cosine}, expected a cosine above 0, at most 1."
            )

    def verdicts(
        self,
        source: Float[Tensor, " dim"],
        kept: Float[Tensor, "n_kept dim"],
        proposed: Float[Tensor, "n dim"],
        room: int,
        margins: Float[Tensor, " n"] | None = None,
        margin: float = 0.0,
        repeated: Sequence[bool] = (),
    ) -> list[Verdict]:
        """One verdict for each of the proposals for a text, in their order.

        Args:
            source: unit vector of the text.
            kept: of what was kept of it before.
            proposed: of the proposals.
            room: how many more may be kept.
            margins: of each proposal, see `Prototypes`.
            margin: that each has to exceed.
            repeated: for each proposal whether another text has it already; empty stands for no.
        """
        similar = (proposed @ torch.cat([kept, proposed]).T >= self.duplicate_cosine).tolist()
        rivals, verdicts = list(range(len(kept))), []
        for place, cosine in enumerate((proposed @ source).tolist()):
            own = None if margins is None else float(margins[place])
            failed: dict[Reason, bool] = {
                "repeated": bool(repeated) and repeated[place],
                "too_far": cosine < self.lowest_cosine,
                "too_near": cosine > self.highest_cosine,
                "other_class": own is not None and own <= margin,
                "near_duplicate": any(similar[place][rival] for rival in rivals),
                "not_needed": len(rivals) - len(kept) >= room,
            }
            dropped = next((reason for reason, is_so in failed.items() if is_so), None)
            rivals += [len(kept) + place] if dropped is None else []
            verdicts.append(Verdict(dropped, cosine, own))
        return verdicts
