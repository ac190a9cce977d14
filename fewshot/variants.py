"""Features of texts that were made from a task's texts, and which of them an episode takes beside these.

A text and its kept variants v_1 ... v_n are one point, or each is evidence of its own:

    merged      x' = |x| normalize(x + weight * mean_i v_i)        the text, seen through several wordings
    evidence    x counts 1, each v_i counts weight / n

Merged variants never change how much a text counts beside the other texts and the label name of its class.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.errors import ConfigError


@dataclass(frozen=True)
class Variants:
    """Features of variants of a task's texts, and what they count beside the texts themselves.

    A variant is evidence in an episode only where its cosine to the prototype of its own class exceeds that to every
    other by `margin`.  The kept variants of a text share `weight` equally, so that a text with many of them counts no
    more than one with few.

    Args:
        features: one row per variant, by the encoder that gave the features of the texts.
        rows: for each text of the task rows of `features`, best first; -1 is padding.
        weight: of all variants of a text together, where the text itself has 1.
        margin: by which a variant must be nearer to its own class than to any other, in cosine.
        merge: whether a text and its variants are one point; else each variant is evidence of its own.

    Raises:
        ConfigError: a weight that is not above zero, or a margin that no two cosines have.
    """

    features: Float[Tensor, "n_variants dim"]
    rows: Int[Tensor, "n_texts most"]
    weight: float = 0.5
    margin: float = 0.0
    merge: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ConfigError(f"Got augment.weight={self.weight}, expected a number above 0.")
        if not -2 <= self.margin <= 2:
            raise ConfigError(
                f"Got augment.margin={self.margin}, expected a difference of two cosines, from -2 to 2. Set "
                f"augment.margin=0, or -2 to leave nothing out."
            )

    @property
    def most(self) -> int:
        """Places for variants that every text has."""
        return self.rows.shape[1]

    def of(self, texts: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch most"]:
        """Rows of the variants of some texts; -1 where there is none.

        Args:
            texts: indices into the task's texts; -1 stands for no text.
        """
        return self.rows[texts.clamp(min=0)].masked_fill((texts < 0)[..., None], -1)

    def at(self, rows: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch dim"]:
        """Features at rows; whatever stands at -1 is not to be looked at."""
        # A single index along the first dimension is several times faster than advanced indexing by a larger tensor.
        return self.features.index_select(0, rows.flatten().clamp(min=0)).view(*rows.shape, -1)

    def kept(
        self, rows: Int[Tensor, "episodes n_way k_shot most"], prototypes: Float[Tensor, "episodes n_way dim"]
    ) -> Bool[Tensor, "episodes n_way k_shot most"]:
        """Which variants are nearer to the prototype of their own class than to any other, by more than the margin.

        Args:
            rows: of the variants of each support text.
            prototypes: unit vectors, made without variants.
        """
        episodes, n_way, k_shot, most = rows.shape
        features = self.at(rows.flatten(1))
        products = (features @ prototypes.mT).view(episodes, n_way, k_shot * most, n_way)
        own = products.diagonal(dim1=1, dim2=3).mT
        itself = torch.eye(n_way, dtype=torch.bool, device=rows.device)[:, None]
        nearest_other = products.masked_fill(itself, -math.inf).amax(-1)
        length = features.norm(dim=-1).view(own.shape)
        nearer = (own - nearest_other > self.margin * length).view(rows.shape)
        return nearer & (rows >= 0)

    def weights(self, kept: Bool[Tensor, "episodes n_way k_shot most"]) -> Float[Tensor, "episodes n_way k_shot most"]:
        """What each variant counts, given which are kept."""
        return self.weight * kept / kept.sum(-1, keepdim=True).clamp(min=1)

    def merged(
        self,
        texts: Float[Tensor, "episodes n_way k_shot dim"],
        rows: Int[Tensor, "episodes n_way k_shot most"],
        kept: Bool[Tensor, "episodes n_way k_shot most"],
    ) -> Float[Tensor, "episodes n_way k_shot dim"]:
        """Each text moved towards the mean of its kept variants; its length stays, and so does a text without any."""
        weights = self.weights(kept).to(texts.dtype)
        variants = self.at(rows.flatten(2)).view(*rows.shape, -1)
        moved = texts + torch.einsum("ewkv,ewkvd->ewkd", weights, variants)
        moved = normalize(moved, dim=-1) * texts.norm(dim=-1, keepdim=True)
        return torch.where(kept.any(-1, keepdim=True), moved, texts)
