"""Filter proposed texts by their meaning: it must be that of the text that they were made from.

keep t' of t  iff  lowest <= cos(t', t) <= highest,
                   cos(t', u) < duplicate for every u that was kept of t before, and, where prototypes are known,
                   cos(t', p_own) - cos(t', p_other) > margin for every other prototype
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.ranges import Range, RangedSettings

Reason = Literal["task_text", "repeated", "too_far", "too_near", "other_class", "near_duplicate", "not_needed"]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True)
class Verdict:
    """The filter's verdict on one proposal."""

    dropped: Reason | None  # None: it is kept
    cosine: float  # to the text that it was made from; NaN: it was not embedded
    margin: float | None = None  # cosine to its own prototype minus that to the nearest other; None: no prototypes


def margins(
    features: Float[Tensor, "n dim"], prototypes: Float[Tensor, "n_classes dim"], own: int
) -> Float[Tensor, " n"]:
    """Cosine to the prototype of class `own` minus the largest to another, of which there is one at least."""
    cosines = features @ prototypes.T
    others = cosines.clone()
    others[:, own] = -torch.inf
    return cosines[:, own] - others.max(1).values


@dataclass(frozen=True)
class SemanticFilter(RangedSettings):
    """A band of cosines, and no near-duplicates.

    Args:
        lowest_cosine: to the source; below it the meaning differs.
        highest_cosine: to the source; above it the text adds nothing.
        duplicate_cosine: between two texts of one source, from which on they are the same.
        margin: in cosine, by which a text is nearer to its own prototype, if prototypes are known.
    """

    GROUP: ClassVar[str] = "augment"
    RANGES: ClassVar[dict[str, Range]] = {
        "highest_cosine": (lambda value: value <= 1, "a cosine such as 0.995"),
        "duplicate_cosine": (lambda value: 0 < value <= 1, "a cosine above 0, at most 1"),
    }

    lowest_cosine: float = 0.3
    highest_cosine: float = 0.995
    duplicate_cosine: float = 0.995
    margin: float = 0.0

    def out_of_range(self) -> dict[str, str]:
        """See `RangedSettings`."""
        expected = f"from -1 to below highest_cosine={self.highest_cosine}, such as 0.3"
        lowest = {} if -1 <= self.lowest_cosine < self.highest_cosine else {"lowest_cosine": expected}
        return lowest | super().out_of_range()

    def verdicts(
        self,
        source: Float[Tensor, " dim"],
        kept: Float[Tensor, "n_kept dim"],
        proposed: Float[Tensor, "n dim"],
        room: int,
        margins: Float[Tensor, " n"] | None = None,
        repeated: Sequence[bool] = (),
    ) -> list[Verdict]:
        """One verdict for each of the proposals for a text, in their order.

        Args:
            source: unit vector of the text.
            kept: unit vectors of its kept proposals.
            proposed: unit vectors of the new proposals.
            room: how many of them may be kept.
            margins: of each proposal, see `Verdict`.
            repeated: True for proposals that another text has already.
        """
        similar = (proposed @ torch.cat([kept, proposed]).T >= self.duplicate_cosine).tolist()
        rivals, verdicts = list(range(len(kept))), []
        for index, cosine in enumerate((proposed @ source).tolist()):
            margin = None if margins is None else float(margins[index])
            failed: dict[Reason, bool] = {
                "repeated": bool(repeated) and repeated[index],
                "too_far": cosine < self.lowest_cosine,
                "too_near": cosine > self.highest_cosine,
                "other_class": margin is not None and margin <= self.margin,
                "near_duplicate": any(similar[index][rival] for rival in rivals),
                "not_needed": len(rivals) - len(kept) >= room,
            }
            dropped = next((reason for reason, is_so in failed.items() if is_so), None)
            rivals += [len(kept) + index] if dropped is None else []
            verdicts.append(Verdict(dropped, cosine, margin))
        return verdicts
