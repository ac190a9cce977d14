"""The features of a task: one matrix that all episodes index."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Num
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import ClassPools
from fewshot.learners.learner import Learner, Support


@dataclass(frozen=True)
class TaskFeatures:
    """Features of a task's texts and of its label names.

    For a learner that reads tokens (`Learner.reads`) a row holds the token ids of a text instead, see
    `fewshot.learners.maml.token_rows`.

    Args:
        texts: one row per text of the task.
        label_names: one row per class id, or None where label names are not used.
    """

    texts: Num[Tensor, "n_texts dim"]
    label_names: Num[Tensor, "n_classes dim"] | None = None

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
        return replace(self, label_names=None)

    def embedded(self, learner: Learner, batch: EpisodeBatch) -> "TaskFeatures":
        """The texts of some episodes and the label names as `learner.embed` maps them, each once."""
        used = torch.cat([batch.support.flatten(), batch.query.flatten()]).clamp(min=0).unique()
        embedded = learner.embed(self.texts[used])
        texts = self.texts.new_zeros(len(self.texts), embedded.shape[-1]).index_copy_(0, used, embedded)
        return TaskFeatures(texts, None if self.label_names is None else learner.embed(self.label_names))

    def support(self, batch: EpisodeBatch) -> Support:
        """What a learner may see of the episodes before the queries."""
        features = self.texts[batch.support.clamp(min=0)]
        names = self.label_names[batch.classes] if self.label_names is not None else None
        return Support(features, batch.support_mask, names)

    def query(self, batch: EpisodeBatch) -> Num[Tensor, "episodes queries dim"]:
        """Features of the queries, way by way."""
        return self.texts[batch.query.flatten(1)]

    def all_texts(self, batch: EpisodeBatch) -> tuple[Num[Tensor, "episodes n dim"], Tensor]:
        """Support and query features of each episode with the way of each; rows of padding have way -1."""
        indices = torch.cat([batch.support, batch.query], dim=2)
        ways = torch.arange(batch.n_way)[None, :, None].expand_as(indices).masked_fill(indices < 0, -1)
        return self.texts[indices.clamp(min=0).flatten(1)], ways.flatten(1)
