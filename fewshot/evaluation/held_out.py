"""How a learner does on texts that are held out of its own support."""

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
    """Share of the texts held out that the learner gets right from those that are kept.

    Args:
        learner: meta-trained.
        features: as it is scored on, with variants where there are any.
        episode: a batch of one; nothing but its support is looked at.
        splits: which texts of the support are kept and which are held out, numbered in the order of
            `support[support_mask]`.
    """
    places = episode.support[0][episode.support_mask[0]]
    ways = torch.arange(episode.n_way)[:, None].expand_as(episode.support[0])[episode.support_mask[0]]
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
