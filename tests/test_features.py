import dataclasses
from dataclasses import replace

import pytest
import torch

from fewshot.episodes import EpisodeBatch
from fewshot.features import TaskFeatures, Variants
from fewshot.learners import Prototypical


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


@pytest.fixture
def with_variants():
    """Two classes along two axes; each text has a variant on its own axis, one on the other, and one on neither."""
    texts = torch.eye(2, 3).repeat_interleave(3, 0)
    features = torch.tensor([[1.0, 0.1, 0.0], [0.1, 1.0, 0.0], [0.9, 0.0, 0.2]])
    rows = torch.tensor([[0, 1, 2], [0, -1, -1], [1, -1, -1], [1, 0, -1], [-1, -1, -1], [1, 1, 1]])
    return TaskFeatures(texts, torch.eye(2, 3), Variants(features, rows, weight=0.5))


@pytest.fixture
def pair():
    """Classes 0 and 1 with two places for texts, the last of which is empty in class 1."""
    support = torch.tensor([[[0, 1], [3, -1]]])
    return EpisodeBatch(torch.tensor([[0, 1]]), support, support >= 0, torch.tensor([[[2], [5]]]))


def test_kept_variants_are_those_of_the_support_however_many_are_looked_at_at_once(with_variants, pair, monkeypatch):
    several = EpisodeBatch(*(torch.cat([getattr(pair, f.name)] * 5) for f in dataclasses.fields(pair)))
    kept = with_variants.kept_variants(several)
    assert kept[0].tolist() == [[[True, False, True], [True, False, False]], [[True, False, False], [False] * 3]]
    monkeypatch.setattr("fewshot.features._PASS", 1)
    assert torch.equal(with_variants.kept_variants(several), kept)


def test_label_names_are_among_the_evidence_that_judges_variants(with_variants, pair):
    """A name of class 1 that lies on the axis of class 0 draws its prototype there."""
    misleading = replace(with_variants, label_names=torch.tensor([[0.0, 0.0, 1.0], [5.0, 0.0, 0.0]]))
    assert not misleading.kept_variants(pair)[0, 0, 0, 0]
    assert misleading.without_label_names().kept_variants(pair)[0, 0, 0, 0]


def test_without_variants_the_support_is_that_of_the_texts(with_variants, pair):
    bare = with_variants.without_variants().support(pair)
    assert torch.equal(bare.features[0, 0], with_variants.texts[:2])
    with pytest.raises(ValueError, match="without variants"):
        with_variants.without_variants().kept_variants(pair)


def test_all_texts_are_texts_of_the_task(with_variants, pair):
    texts, ways = with_variants.all_texts(pair)
    assert texts.shape == (1, 6, 3)
    assert ways.tolist() == [[0, 0, 0, 1, -1, 1]]


@pytest.mark.parametrize("shape", [(5, 3), (6, 4)])
def test_variants_of_other_texts_or_another_encoder_are_refused(with_variants, shape):
    with pytest.raises(ValueError, match="Got variants of 6 texts with 3 features, expected"):
        TaskFeatures(torch.zeros(shape), None, with_variants.variants)


def test_variants_are_merged_into_the_texts_that_they_are_of(with_variants, pair):
    support = with_variants.support(pair)
    assert support.features.shape == (1, 2, 2, 3)
    assert torch.equal(support.label_names, with_variants.without_variants().support(pair).label_names)
    kept = torch.tensor([[1.0, 0.1, 0.0], [0.9, 0.0, 0.2]]).mean(0)
    moved = torch.tensor([1.0, 0.0, 0.0]) + 0.5 * kept
    assert torch.allclose(support.features[0, 0, 0], moved / moved.norm())


def test_texts_with_variants_are_not_embedded_once_for_all(with_variants, pair):
    with pytest.raises(ValueError, match="depend on the episode"):
        with_variants.embedded(Prototypical(3), pair)
