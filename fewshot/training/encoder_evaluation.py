"""Evaluation of an encoder while it is trained."""

import copy
from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

from fewshot.encoders import TrainableEncoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation.evaluate import mean_accuracy
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner
from fewshot.processes import as_main
from fewshot.tasks import Task


class EncoderEvaluation:
    """Accuracy of the encoder as it is, with the learner as it is, on the valid episodes.

    Args:
        trainable: the encoder.
        learner: the learner.
        task: whose texts they are.
        names: label names, or None where they are not used.
        valid: episodes; only their texts are embedded.
    """

    def __init__(
        self,
        trainable: TrainableEncoder,
        learner: Learner,
        task: Task,
        names: list[str] | None,
        valid: Sequence[EpisodeBatch],
    ):
        self.trainable, self.learner, self.names, self.valid = trainable, learner, names, valid
        used = torch.cat([torch.cat([b.support.flatten(), b.query.flatten()]) for b in valid]).unique()
        self.used, self.n_texts = used, len(task.texts)
        self.texts = [task.texts[index] for index in used.tolist()]

    def __call__(self) -> float:
        """Mean over the batches of episodes."""
        features = normalize(self.trainable.compute([*self.texts, *(self.names or [])]), dim=-1)
        rows, names = features.tensor_split([len(self.texts)])
        texts = torch.zeros(self.n_texts, features.shape[1]).index_copy_(0, self.used, rows)
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
