import pytest
import torch

from fewshot.episodes import EpisodeBatch
from fewshot.features import TaskFeatures


@pytest.fixture
def features():
    """Text i is (i, 10 i), the name of class c is (-c, -c)."""
    texts = torch.arange(10.0)[:, None] * torch.tensor([1.0, 10.0])
    return TaskFeatures(texts, -torch.arange(4.0)[:, None].expand(4, 2))


@pytest.fixture
def batch():
    """One episode of the classes 3 and 1; class 1 has one support text less."""
    support = torch.tensor([[[7, 2], [4, -1]]])
    return EpisodeBatch(torch.tensor([[3, 1]]), support, support >= 0, torch.tensor([[[9, 8], [6, 5]]]))


def test_dim_is_the_number_of_columns(features):
    assert features.dim == 2


def test_support_holds_the_features_of_its_texts_and_of_the_names_of_its_classes(features, batch):
    support = features.support(batch)
    assert support.features[0, 0].tolist() == [[7, 70], [2, 20]]
    assert support.features[0, 1, 0].tolist() == [4, 40]
    assert support.mask.tolist() == [[[True, True], [True, False]]]
    assert support.label_names.tolist() == [[[-3, -3], [-1, -1]]]


def test_without_label_names_there_are_none_in_the_support(features, batch):
    bare = features.without_label_names()
    assert bare.support(batch).label_names is None
    assert torch.equal(bare.texts, features.texts)
    assert features.label_names.shape == (4, 2)


def test_queries_stand_way_by_way_as_the_targets_do(features, batch):
    assert features.query(batch)[0, :, 0].tolist() == [9, 8, 6, 5]
    assert batch.targets.tolist() == [[0, 0, 1, 1]]


def test_all_texts_marks_padding(features, batch):
    texts, ways = features.all_texts(batch)
    assert ways.tolist() == [[0, 0, 0, 0, 1, -1, 1, 1]]
    assert texts[0, ways[0] >= 0, 0].tolist() == [7, 2, 9, 8, 4, 6, 5]
