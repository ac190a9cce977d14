"""Accuracy of a learner on texts that are held out of its own support."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner

Split = tuple[Int[Tensor, " n_kept"], Int[Tensor, " n_held"]]


def held_out_accuracy(
    learner: Learner, features: TaskFeatures, episode: EpisodeBatch, splits: Sequence[Split]
) -> float:
    """Share of the held-out texts that the learner, adapted to the kept ones, classifies correctly.

    Args:
        learner: meta-trained.
        features: as in the evaluation, with their variants.
        episode: a batch of one; only its support counts.
        splits: indices of the texts that are kept and held out, in the order of `support[support_mask]`.
    """
    places = episode.support[0][episode.support_mask[0]]
    ways = episode.support_mask[0].nonzero()[:, 0]
    right, texts = 0, 0
    was_training = learner.training
    learner.eval()
    with torch.no_grad():
        for kept, held in splits:
            mask = episode.support_mask & torch.isin(episode.support, places[kept])
            part = replace(episode, support=episode.support.masked_fill(~mask, -1), support_mask=mask)
            logits = learner.adapt(features.support(part)).logits(features.texts[places[held]][None])
            right += int((logits[0].argmax(-1) == ways[held]).sum())
            texts += len(held)
    learner.train(was_training)
    return right / max(1, texts)
