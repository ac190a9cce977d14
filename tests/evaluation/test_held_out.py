"""A learner on texts held out of its own support."""

import torch

from fewshot.episodes import EpisodeBatch
from fewshot.evaluation import held_out_accuracy
from fewshot.features import TaskFeatures
from fewshot.learners import Centroid

# Two classes on two axes; the last text of the second class lies on the first one's.
TEXTS = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [1.0, 0.1]])
SUPPORT = torch.tensor([[[0, 1, -1], [2, 3, 4]]])
EPISODE = EpisodeBatch(torch.tensor([[0, 1]]), SUPPORT, SUPPORT >= 0, torch.zeros(1, 2, 1, dtype=torch.long))


def split(*held):
    return torch.tensor([place for place in range(5) if place not in held]), torch.tensor(held)


def test_it_is_the_share_of_texts_held_out_that_the_rest_gets_right():
    learner = Centroid(2).train()
    features = TaskFeatures(TEXTS)
    assert held_out_accuracy(learner, features, EPISODE, [split(1, 3)]) == 1.0
    assert held_out_accuracy(learner, features, EPISODE, [split(1, 4)]) == 0.5
    assert held_out_accuracy(learner, features, EPISODE, [split(0), split(4), split(2)]) == 2 / 3
    assert held_out_accuracy(learner, features, EPISODE, []) == 0.0
    assert learner.training


def test_queries_play_no_part():
    features = TaskFeatures(TEXTS)
    other = EpisodeBatch(EPISODE.classes, SUPPORT, SUPPORT >= 0, torch.full((1, 2, 1), 4))
    assert held_out_accuracy(Centroid(2), features, other, [split(1)]) == held_out_accuracy(
        Centroid(2), features, EPISODE, [split(1)]
    )
