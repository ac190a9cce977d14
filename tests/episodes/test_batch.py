import dataclasses

import pytest
import torch

from fewshot.episodes import EpisodeBatch


@pytest.fixture
def batch():
    """Two episodes, two ways, three shots with one place of padding, two queries."""
    support = torch.tensor([[[0, 1, 2], [10, 11, -1]], [[20, 21, 22], [3, 4, 5]]])
    query = torch.tensor([[[6, 7], [12, 13]], [[23, 24], [8, 9]]])
    return EpisodeBatch(torch.tensor([[5, 6], [7, 5]]), support, support >= 0, query)


def test_counts(batch):
    assert (len(batch), batch.n_way, batch.k_shot, batch.n_query) == (2, 2, 3, 2)


def test_targets_follow_the_queries_way_by_way(batch):
    assert batch.targets.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_prefix_keeps_the_first_of_everything(batch):
    shorter = batch.prefix(k_shot=2, n_query=1, n_episodes=1)
    assert shorter.classes.tolist() == [[5, 6]]
    assert shorter.support.tolist() == [[[0, 1], [10, 11]]]
    assert shorter.support_mask.tolist() == [[[True, True], [True, True]]]
    assert shorter.query.tolist() == [[[6], [12]]]


def test_prefix_keeps_all_episodes_by_default(batch):
    assert batch.prefix(3, 2).sha256() == batch.sha256()


@pytest.mark.parametrize("asked", [(4, 2, 2), (3, 3, 2), (3, 2, 3)])
def test_prefix_refuses_more_than_there_is(batch, asked):
    k_shot, n_query, n_episodes = asked
    message = f"Asked for {n_episodes} episodes of {k_shot} shots and {n_query} queries, but the batch holds 2 of 3 and"
    with pytest.raises(ValueError, match=message):
        batch.prefix(k_shot, n_query, n_episodes)


def test_split_gives_pieces_in_order_that_make_up_the_batch():
    support = torch.arange(5 * 2 * 1).view(5, 2, 1)
    whole = EpisodeBatch(support[..., 0], support, support >= 0, support + 100)
    pieces = list(whole.split(2))
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert torch.equal(torch.cat([piece.query for piece in pieces]), whole.query)


def test_a_batch_cannot_be_changed(batch):
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.support = batch.query


def test_hash_stays_the_same_between_versions(batch):
    assert batch.sha256() == "e5f9ede6f003d7bfff38f2b549857f45dd685421788e7d787d7364a2c6780113"


def test_hash_does_not_depend_on_the_integer_type_or_the_memory_layout(batch):
    other = EpisodeBatch(
        batch.classes.int(), batch.support.mT.contiguous().mT, batch.support_mask, batch.query.to(torch.int16)
    )
    assert other.sha256() == batch.sha256()


def test_hash_sees_order_and_shape(batch):
    hashes = {batch.sha256(), batch[:1].sha256(), batch.prefix(2, 2).sha256()}
    hashes.add(dataclasses.replace(batch, query=batch.query.flip(-1)).sha256())
    assert len(hashes) == 4
