"""Evaluation of an encoder while it is trained."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.encoders import TrainableEncoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation.evaluate import mean_accuracy
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner
from fewshot.processes import as_main
from fewshot.tasks import Task


@dataclass(frozen=True)
class EncoderEvaluation:
    """Accuracy of encoder and learner as they are, on the valid episodes; only texts of these are embedded."""

    trainable: TrainableEncoder
    learner: Learner
    task: Task
    names: list[str] | None
    valid: Sequence[EpisodeBatch]

    @cached_property
    def used(self) -> Int[Tensor, " n_used"]:
        """Indices of the texts of the episodes."""
        return torch.cat([part.flatten() for batch in self.valid for part in (batch.support, batch.query)]).unique()

    def __call__(self) -> float:
        """Mean over the batches of episodes."""
        used = [self.task.texts[index] for index in self.used.tolist()]
        features = normalize(self.trainable.compute([*used, *(self.names or [])]), dim=-1)
        rows, names = features.tensor_split([len(used)])
        texts = torch.zeros(len(self.task.texts), features.shape[1]).index_copy_(0, self.used, rows)
        learner = copy.deepcopy(self.learner).cpu()
        return mean_accuracy(learner, TaskFeatures(texts, None if self.names is None else names), self.valid)

    def interpolate(self, shares: Sequence[float]) -> float:
        """Take the best of some shares of the way from the published to the trained weights, and return it."""
        scores = {}
        for share in shares:
            self.trainable.interpolate(share)
            scores[share] = self()
        best = as_main(max(scores, key=lambda share: scores[share]))
        self.trainable.interpolate(best)
        return best
