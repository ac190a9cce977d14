"""The features of a task: one matrix that all episodes index."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import ClassPools
from fewshot.errors import ConfigError
from fewshot.learners.learner import Learner, Support
from fewshot.variants import Variants

_PASS = 2**25  # features of variants that are looked at at once, 128 MiB


@dataclass(frozen=True)
class TaskFeatures:
    """Features of a task's texts and of its label names.

    For a learner that reads tokens (`Learner.reads`) a row holds the token ids of a text instead, see
    `fewshot.learners.maml.token_rows`.

    Args:
        texts: one row per text of the task.
        label_names: one row per class id, or None where label names are not used.
        variants: features of texts made from those of the task, which stand beside them in a support, or None.
        judges: what these features were before a learner embedded them, or None where they are the encoder's own:
            in the encoder's space it is decided which variants an episode keeps, so that all learners get the same.

    Raises:
        ConfigError: variants beside token ids.
        ValueError: variants of other texts, or of other width.
    """

    texts: Num[Tensor, "n_texts dim"]
    label_names: Num[Tensor, "n_classes dim"] | None = None
    variants: Variants | None = None
    judges: "TaskFeatures | None" = None

    def __post_init__(self) -> None:
        if self.variants is None:
            return
        if not self.texts.is_floating_point():
            raise ConfigError(
                "Got variants of texts for a learner that reads tokens, whose inner loop goes through the encoder. "
                "Set augment=none, or learner.adapts=head."
            )
        if (len(self.variants.rows), self.variants.features.shape[1]) != tuple(self.texts.shape):
            raise ValueError(
                f"Got variants of {len(self.variants.rows)} texts with {self.variants.features.shape[1]} features, "
                f"expected {len(self.texts)} and {self.dim}, as the texts have."
            )

    @property
    def moves(self) -> bool:
        """Whether a text is another point in each episode, because variants are merged into it."""
        return self.variants is not None and self.variants.merge

    @property
    def dim(self) -> int:
        """Number of features."""
        return self.texts.shape[1]

    def class_means(self, pools: ClassPools) -> Float[Tensor, "n_classes dim"]:
        """Mean features of the texts of each class."""
        groups = zip(pools.members, pools.sizes.tolist(), strict=True)
        return torch.stack([self.texts[members[:size]].mean(0) for members, size in groups])

    def without_label_names(self) -> "TaskFeatures":
        """The same texts, label names left out."""
        judges = None if self.judges is None else self.judges.without_label_names()
        return replace(self, label_names=None, judges=judges)

    def without_variants(self) -> "TaskFeatures":
        """The task's own texts alone."""
        return replace(self, variants=None, judges=None)

    def embedded(self, learner: Learner, batch: EpisodeBatch) -> "TaskFeatures":
        """The texts of some episodes and the label names as `learner.embed` maps them, each once.

        Raises:
            ValueError: variants are merged into texts, which are then other points in each episode.
        """
        if self.moves:
            raise ValueError("Got features with merged variants, whose texts are other points in each episode.")
        used = torch.cat([batch.support.flatten(), batch.query.flatten()]).clamp(min=0).unique()
        return TaskFeatures(
            _embedded_rows(learner, self.texts, used),
            None if self.label_names is None else learner.embed(self.label_names),
            None if self.variants is None else self._embedded_variants(learner, batch, self.variants),
            None if self.variants is None else self._judges,
        )

    def support(self, batch: EpisodeBatch) -> Support:
        """What a learner may see of the episodes before the queries.

        Variants that are kept are merged into their texts.  Where they are evidence of their own, `k_shot` counts the
        places of a class: first those of the batch, then those of the variants of each text; the mask is true where a
        variant is kept.
        """
        support = self._real_support(batch)
        if self.variants is None:
            return support
        rows = self.variants.of(batch.support)
        kept = self._judges._kept(batch)
        if self.variants.merge:
            return replace(support, features=self.variants.merged(support.features, rows, kept))
        weights = self.variants.weights(kept).to(support.features.dtype)
        return Support(
            torch.cat([support.features, self.variants.at(rows.flatten(2))], dim=2),
            torch.cat([support.mask, kept.flatten(2)], dim=2),
            support.label_names,
            torch.cat([support.mask.to(weights.dtype), weights.flatten(2)], dim=2),
            torch.cat([torch.zeros_like(support.mask), torch.ones_like(kept.flatten(2))], dim=2),
        )

    def kept_variants(self, batch: EpisodeBatch) -> Bool[Tensor, "episodes n_way k_shot most"]:
        """Which variants `support` takes: true at `[e, w, k, i]` for `variants.of(batch.support)[e, w, k, i]`.

        Raises:
            ValueError: there are no variants.
        """
        if self.variants is None:
            raise ValueError("Got features without variants, expected some to tell which are kept.")
        one = batch.n_way * batch.k_shot * self.variants.most * self._judges.dim
        return torch.cat([self._judges._kept(part) for part in batch.split(max(1, _PASS // max(1, one)))])

    def query(self, batch: EpisodeBatch) -> Num[Tensor, "episodes queries dim"]:
        """Features of the queries, way by way."""
        return self.texts[batch.query.flatten(1)]

    def all_texts(self, batch: EpisodeBatch) -> tuple[Num[Tensor, "episodes n dim"], Tensor]:
        """Support and query features of each episode with the way of each; rows of padding have way -1.

        Texts of the task alone, no variants.
        """
        indices = torch.cat([batch.support, batch.query], dim=2)
        ways = torch.arange(batch.n_way)[None, :, None].expand_as(indices).masked_fill(indices < 0, -1)
        return self.texts[indices.clamp(min=0).flatten(1)], ways.flatten(1)

    @property
    def _judges(self) -> "TaskFeatures":
        return self if self.judges is None else self.judges

    def _real_support(self, batch: EpisodeBatch) -> Support:
        features = self.texts[batch.support.clamp(min=0)]
        names = self.label_names[batch.classes] if self.label_names is not None else None
        return Support(features, batch.support_mask, names)

    def _kept(self, batch: EpisodeBatch) -> Bool[Tensor, "episodes n_way k_shot most"]:
        assert self.variants is not None
        prototypes = normalize(self._real_support(batch).with_names_as_shots().mean(), dim=-1)
        return self.variants.kept(self.variants.of(batch.support.masked_fill(~batch.support_mask, -1)), prototypes)

    def _embedded_variants(self, learner: Learner, batch: EpisodeBatch, variants: Variants) -> Variants:
        rows = variants.of(batch.support.unique()).unique()
        return replace(variants, features=_embedded_rows(learner, variants.features, rows[rows >= 0]))


def _embedded_rows(learner: Learner, features: Tensor, used: Tensor) -> Tensor:
    """A matrix of as many rows, those that are used embedded."""
    embedded = learner.embed(features[used])
    return features.new_zeros(len(features), embedded.shape[-1]).index_copy_(0, used, embedded)
