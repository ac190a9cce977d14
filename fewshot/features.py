"""The features of a task: one matrix that all episodes index, and features of new texts beside it.

A text x and its kept new texts v_1 ... v_n are one point, the text seen through several wordings:

    x' = |x| normalize(x + weight * mean_i v_i)

The weight of a text beside the other texts and the label name of its class stays the same.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.learners.learner import Learner, Support
from fewshot.ranges import Range, RangedSettings
from fewshot.tasks import Task
from fewshot.tasks.task import ClassPools

_PASS = 2**25  # elements of the variants' features gathered at once, 128 MiB


@dataclass(frozen=True)
class Variants(RangedSettings):
    """Features of variants of a task's texts, and their weight beside the texts themselves.

    A variant is kept in an episode only if its cosine to the prototype of its own class exceeds that to every other by
    `margin`.  The kept variants of a text share `weight` equally.

    Args:
        features: one row per variant, by the encoder that gave the features of the texts.
        rows: for each text of the task rows of `features`, best first; -1 is padding.
        weight: of all variants of a text together; the text itself has 1.
        margin: by which a variant must be nearer to its own class than to any other, in cosine.

    Raises:
        ConfigError: a weight that is not above zero, or a margin that no two cosines have.
    """

    GROUP: ClassVar[str] = "augment"
    RANGES: ClassVar[dict[str, Range]] = {
        "weight": (lambda value: 0 < value < math.inf, "a number above 0"),
        "margin": (lambda value: -2 <= value <= 2, "a difference of two cosines, from -2 to 2"),
    }

    features: Float[Tensor, "n_variants dim"]
    rows: Int[Tensor, "n_texts max_variants"]
    weight: float = 0.5
    margin: float = 0.0

    @property
    def max_variants(self) -> int:
        """Maximum of variants of a text."""
        return self.rows.shape[1]

    def of(self, texts: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch max_variants"]:
        """Rows of the variants of some texts; -1 is padding.

        Args:
            texts: indices into the task's texts; -1 stands for no text.
        """
        return self.rows[texts.clamp(min=0)].masked_fill((texts < 0)[..., None], -1)

    def at(self, rows: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch dim"]:
        """Features at rows; the value at a row of -1 is arbitrary."""
        # A single index along the first dimension is several times faster than advanced indexing by a larger tensor.
        return self.features.index_select(0, rows.flatten().clamp(min=0)).view(*rows.shape, -1)

    def kept(
        self,
        rows: Int[Tensor, "episodes n_way k_shot max_variants"],
        prototypes: Float[Tensor, "episodes n_way dim"],
    ) -> Bool[Tensor, "episodes n_way k_shot max_variants"]:
        """True for variants that are nearer to the prototype of their own class than to any other, by the margin.

        Args:
            rows: of the variants of each support text.
            prototypes: unit vectors, made without variants.
        """
        episodes, n_way, k_shot, max_variants = rows.shape
        features = self.at(rows.flatten(1))
        products = (features @ prototypes.mT).view(episodes, n_way, k_shot * max_variants, n_way)
        own = products.diagonal(dim1=1, dim2=3).mT
        itself = torch.eye(n_way, dtype=torch.bool, device=rows.device)[:, None]
        nearest_other = products.masked_fill(itself, -math.inf).amax(-1)
        length = features.norm(dim=-1).view(own.shape)
        nearer = (own - nearest_other > self.margin * length).view(rows.shape)
        return nearer & (rows >= 0)

    def merged(
        self,
        texts: Float[Tensor, "episodes n_way k_shot dim"],
        rows: Int[Tensor, "episodes n_way k_shot max_variants"],
        kept: Bool[Tensor, "episodes n_way k_shot max_variants"],
    ) -> Float[Tensor, "episodes n_way k_shot dim"]:
        """Each text moved towards the mean of its kept variants, with its length; a text without any stays."""
        weights = (self.weight * kept / kept.sum(-1, keepdim=True).clamp(min=1)).to(texts.dtype)
        variants = self.at(rows.flatten(2)).view(*rows.shape, -1)
        moved = texts + torch.einsum("ewkv,ewkvd->ewkd", weights, variants)
        moved = normalize(moved, dim=-1) * texts.norm(dim=-1, keepdim=True)
        return torch.where(kept.any(-1, keepdim=True), moved, texts)


@dataclass(frozen=True)
class TaskFeatures:
    """Features of a task's texts and of its label names.

    Args:
        texts: one row per text of the task.
        label_names: one row per class id, or None if label names are not used.
        variants: features of texts made from those of the task, which are merged into them in a support, or None.

    Raises:
        ValueError: variants of other texts, or of other width.
    """

    texts: Float[Tensor, "n_texts dim"]
    label_names: Float[Tensor, "n_classes dim"] | None = None
    variants: Variants | None = None

    def __post_init__(self) -> None:
        if self.variants is None:
            return
        if (len(self.variants.rows), self.variants.features.shape[1]) != tuple(self.texts.shape):
            raise ValueError(
                f"Got variants of {len(self.variants.rows)} texts with {self.variants.features.shape[1]} features, "
                f"expected {len(self.texts)} and {self.dim}, as the texts have."
            )

    @property
    def dim(self) -> int:
        """Number of features."""
        return self.texts.shape[1]

    def class_means(self, pools: ClassPools) -> Float[Tensor, "n_classes dim"]:
        """Mean features of the texts of each class."""
        groups = zip(pools.members, pools.sizes.tolist(), strict=True)
        return torch.stack([self.texts[members[:size]].mean(0) for members, size in groups])

    def without_label_names(self) -> "TaskFeatures":
        """The same features without label names."""
        return replace(self, label_names=None)

    def without_variants(self) -> "TaskFeatures":
        """The same features without variants."""
        return replace(self, variants=None)

    def embedded(self, learner: Learner, batch: EpisodeBatch) -> "TaskFeatures":
        """The texts of some episodes and the label names, embedded by `learner.embed`, each once.

        Raises:
            ValueError: there are variants, which make the features of a text depend on the episode.
        """
        if self.variants is not None:
            raise ValueError("Got features with variants, which depend on the episode.")
        used = torch.cat([batch.support.flatten(), batch.query.flatten()]).clamp(min=0).unique()
        rows = learner.embed(self.texts[used])
        texts = self.texts.new_zeros(len(self.texts), rows.shape[-1]).index_copy_(0, used, rows)
        return TaskFeatures(texts, None if self.label_names is None else learner.embed(self.label_names))

    def support(self, batch: EpisodeBatch) -> Support:
        """The supports of the episodes, with kept variants merged into their texts."""
        support = self._real_support(batch)
        if self.variants is None:
            return support
        merged = self.variants.merged(support.features, self.variants.of(batch.support), self._kept(batch))
        return replace(support, features=merged)

    def kept_variants(self, batch: EpisodeBatch) -> Bool[Tensor, "episodes n_way k_shot max_variants"]:
        """True at `[e, w, k, i]` if `support` merges the variant `variants.of(batch.support)[e, w, k, i]`.

        Raises:
            ValueError: there are no variants.
        """
        if self.variants is None:
            raise ValueError("Got features without variants, expected some to choose from.")
        n_elements = batch.n_way * batch.k_shot * self.variants.max_variants * self.dim  # of an episode
        return torch.cat([self._kept(part) for part in batch.split(max(1, _PASS // max(1, n_elements)))])

    def query(self, batch: EpisodeBatch) -> Float[Tensor, "episodes queries dim"]:
        """Features of the queries, way by way."""
        return self.texts[batch.query.flatten(1)]

    def all_texts(self, batch: EpisodeBatch) -> tuple[Float[Tensor, "episodes n dim"], Int[Tensor, "episodes n"]]:
        """Support and query features of each episode with the way of each; rows of padding have way -1.

        Texts of the task alone, no variants.
        """
        indices = torch.cat([batch.support, batch.query], dim=2)
        ways = torch.arange(batch.n_way)[None, :, None].expand_as(indices).masked_fill(indices < 0, -1)
        return self.texts[indices.clamp(min=0).flatten(1)], ways.flatten(1)

    def _real_support(self, batch: EpisodeBatch) -> Support:
        features = self.texts[batch.support.clamp(min=0)]
        names = self.label_names[batch.classes] if self.label_names is not None else None
        return Support(features, batch.support_mask, names)

    def _kept(self, batch: EpisodeBatch) -> Bool[Tensor, "episodes n_way k_shot max_variants"]:
        assert self.variants is not None
        prototypes = normalize(self._real_support(batch).with_names_as_shots().mean(), dim=-1)
        return self.variants.kept(self.variants.of(batch.support.masked_fill(~batch.support_mask, -1)), prototypes)


def unit_features(encoder: Encoder, texts: Iterable[str]) -> Float[Tensor, "n_texts dim"]:
    """Features of texts, each of length 1; scaled in place, since those of a million texts take a gigabyte."""
    features = encoder.encode(texts)
    return features.div_(features.norm(dim=-1, keepdim=True).clamp_(min=1e-12))


def encoded_features(encoder: Encoder, task: Task, label_names: bool) -> TaskFeatures:
    """Unit features of the texts of a task, and of its label names if they are used."""
    names = task.label_texts() if label_names else []
    features = unit_features(encoder, [*task.texts, *names])
    texts, of_names = features.tensor_split([len(task.texts)])
    return TaskFeatures(texts, of_names if label_names else None)
