"""What was made of some texts: every proposal with its verdict, and the features of those that were kept."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.augment.semantic_filter import REASONS, Verdict
from fewshot.features import Variants


@dataclass(frozen=True)
class Judged:
    """A proposal and what became of it.

    Args:
        text: the new text.
        source: name of the source that made it.
        how: what it did.
        verdict: of the filter; its cosine is NaN where the text was not looked at.
    """

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
    """All that was proposed for some texts.

    Args:
        texts: the texts.
        judged: for each text its proposals; those kept are in order of preference.
        features: of those kept, text by text.
    """

    texts: tuple[str, ...]
    judged: tuple[tuple[Judged, ...], ...]
    features: Float[Tensor, "n_kept dim"]

    @classmethod
    def joined(cls, banks: Sequence["Bank"], dim: int) -> "Bank":
        """Banks of different texts as one.

        Args:
            banks: any number.
            dim: number of features.
        """
        features = torch.cat([torch.empty(0, dim), *(bank.features for bank in banks)])
        texts, judged = (tuple(row for bank in banks for row in getattr(bank, name)) for name in ("texts", "judged"))
        return cls(texts, judged, features)

    def kept(self) -> list[list[Judged]]:
        """What was kept of each text, best first."""
        return [[one for one in proposals if one.kept] for proposals in self.judged]

    def counts(self, sources: Collection[str]) -> dict[str, dict[str, int]]:
        """For each source how many texts it proposed, and what became of them; proposed is the sum of the rest."""
        tally = Counter((one.source, str(one.verdict.dropped or "kept")) for row in self.judged for one in row)
        table = {}
        for source in sources:
            ends = {str(end): tally[source, str(end)] for end in ("kept", *REASONS)}
            table[source] = {"proposed": sum(ends.values()), **ends}
        return table

    def rows(self) -> Int[Tensor, "n_texts most"]:
        """For each text the rows of `features` that were kept of it; -1 is padding."""
        sizes = torch.tensor([len(row) for row in self.kept()], dtype=torch.long)
        most = int(sizes.max()) if len(sizes) else 0
        places = torch.arange(most)
        starts = sizes.cumsum(0) - sizes
        return (starts[:, None] + places).masked_fill(places >= sizes[:, None], -1)

    def variants(
        self, places: Sequence[int], n_texts: int, weight: float, margin: float, merge: bool = True
    ) -> Variants:
        """What was kept, for the features of a task.

        Args:
            places: index of each text in the task.
            n_texts: number of the task's texts.
            weight: of all variants of a text, see `Variants`.
            margin: see `Variants`.
            merge: see `Variants`.
        """
        own = self.rows()
        rows = own.new_full((n_texts, own.shape[1]), -1)
        rows[torch.tensor(places, dtype=torch.long)] = own
        return Variants(self.features, rows, weight, margin, merge)

    def sha256(self) -> str:
        """A hash of the texts and of what was kept of each."""
        digest = sha256()
        for text, kept in zip(self.texts, self.kept(), strict=True):
            digest.update(repr((text, [one.text for one in kept])).encode())
        return digest.hexdigest()
