"""What was made of some texts: every proposal with its verdict, and the features of those that were kept."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.augment.semantic_filter import REASONS, Verdict
from fewshot.features import Variants


@dataclass(frozen=True)
class ScoredProposal:
    """A proposal, the name of its source, what that did, and the verdict of the filter."""

    text: str
    source: str
    how: str
    verdict: Verdict

    @property
    def kept(self) -> bool:
        """Whether the filter let it pass."""
        return self.verdict.dropped is None


@dataclass(frozen=True)
class Bank:
    """All that was proposed for some texts: for each its proposals, and the features of those kept, text by text."""

    texts: tuple[str, ...]
    scored: tuple[tuple[ScoredProposal, ...], ...]
    features: Float[Tensor, "n_kept dim"]

    def kept(self) -> list[list[ScoredProposal]]:
        """What was kept of each text, best first."""
        return [[one for one in proposals if one.kept] for proposals in self.scored]

    def counts(self, sources: Collection[str]) -> dict[str, dict[str, int]]:
        """For each source how many texts it proposed, and what became of them; proposed is the sum of the rest."""
        tally = Counter((one.source, str(one.verdict.dropped or "kept")) for row in self.scored for one in row)
        ends = {name: {str(end): tally[name, str(end)] for end in ("kept", *REASONS)} for name in sources}
        return {name: {"proposed": sum(row.values()), **row} for name, row in ends.items()}

    def variants(
        self, places: Sequence[int], n_texts: int, weight: float, margin: float, merge: bool = True
    ) -> Variants:
        """What was kept, for a task with `n_texts` texts, in which the bank's have `places`; the rest: `Variants`."""
        sizes = torch.tensor([len(row) for row in self.kept()], dtype=torch.long)
        ranks = torch.arange(int(sizes.max()) if len(sizes) else 0)
        starts = sizes.cumsum(0) - sizes
        rows = starts.new_full((n_texts, len(ranks)), -1)
        rows[torch.tensor(places, dtype=torch.long)] = (starts[:, None] + ranks).masked_fill(
            ranks >= sizes[:, None], -1
        )
        return Variants(self.features, rows, weight, margin, merge)

    def sha256(self) -> str:
        """A hash of the texts and of what was kept of each."""
        digest = sha256()
        for text, kept in zip(self.texts, self.kept(), strict=True):
            digest.update(repr((text, [one.text for one in kept])).encode())
        return digest.hexdigest()
