"""The contract of the sampler, sentence by sentence."""

import os
import subprocess
import sys

import pytest
import torch
from scipy.stats import chi2

from fewshot.episodes import sample_episodes, sample_realistic_episodes, sampler
from fewshot.errors import ConfigError, TaskError
from fewshot.tasks.task import ClassPools
from tests.synthetic import pools_of, seeded

SAMPLERS = [sample_episodes, sample_realistic_episodes]


def all_different(rows):
    """Whether no value stands twice in any row."""
    return bool((rows.sort(-1).values.diff(dim=-1) > 0).all())


def chi_square_bound(observed, n_outcomes):
    """Whether the counts are those of equally likely outcomes, at a level of one in a thousand."""
    counts = torch.bincount(observed, minlength=n_outcomes).double()
    assert len(counts) == n_outcomes
    expected = len(observed) / n_outcomes
    return float(((counts - expected) ** 2 / expected).sum()) < chi2.ppf(0.999, n_outcomes - 1)


def ordered_pairs(first, second, n):
    """Number the ordered pairs of two different values below n as 0 ... n (n - 1) - 1."""
    return first * (n - 1) + second - (second > first).long()


def test_pools_group_the_texts_of_the_classes_asked_for():
    pools = ClassPools.from_labels(torch.tensor([2, 0, 1, 2, 2, 1]), [2, 1], ["zero", "one", "two"])
    assert pools.classes.tolist() == [2, 1]
    assert pools.members.tolist() == [[0, 3, 4], [2, 5, -1]]
    assert pools.sizes.tolist() == [3, 2]
    assert pools.names == ("two", "one")


def test_pools_without_names_call_classes_by_their_ids():
    assert ClassPools.from_labels(torch.tensor([4, 4, 9]), [9, 4]).names == ("9", "4")


# 1. Each episode has `n_way` different classes, every subset and order equally likely.


def test_classes_of_an_episode_differ():
    batch = sample_episodes(pools_of([8] * 7), 300, 5, 2, 2, seeded())
    assert batch.classes.shape == (300, 5)
    assert all_different(batch.classes)


def test_subsets_and_orders_of_classes_are_equally_likely():
    batch = sample_episodes(pools_of([5, 9, 6, 30]), 12_000, 2, 1, 1, seeded(1))
    assert chi_square_bound(ordered_pairs(batch.classes[:, 0], batch.classes[:, 1], 4), 12)


def test_as_many_ways_as_classes_uses_every_class_in_every_episode():
    batch = sample_episodes(pools_of([4] * 6), 50, 6, 1, 1, seeded())
    assert torch.equal(batch.classes.sort(-1).values, torch.arange(6).expand(50, 6))
    assert len(batch.classes.unique(dim=0)) > 40


def test_class_ids_are_those_of_the_pools():
    pools = ClassPools.from_labels(torch.arange(60) % 6, [5, 1, 3])
    batch = sample_episodes(pools, 40, 3, 2, 2, seeded())
    assert batch.classes.unique().tolist() == [1, 3, 5]
    assert torch.equal(batch.support % 6, batch.classes[..., None].expand_as(batch.support))
    assert torch.equal(batch.query % 6, batch.classes[..., None].expand_as(batch.query))


# 2. Each class has `k_shot + n_query` different texts, every choice and order equally likely.
# 3. No text is both support and query of an episode.


@pytest.mark.parametrize("sizes", [[9] * 6, [7, 9, 7, 200, 8, 31]])
def test_texts_of_an_episode_differ_support_and_query_together(sizes):
    batch = sample_episodes(pools_of(sizes), 300, 4, 4, 3, seeded())
    assert batch.support.shape == (300, 4, 4)
    assert batch.query.shape == (300, 4, 3)
    assert bool(batch.support_mask.all())
    assert all_different(torch.cat([batch.support, batch.query], dim=-1).flatten(1))


@pytest.mark.parametrize("size", [4, 7])
def test_choices_and_orders_of_texts_are_equally_likely_in_small_and_large_classes(size):
    pools = pools_of([4, 7])
    batch = sample_episodes(pools, 8000, 2, 1, 1, seeded(2))
    row = [4, 7].index(size)
    place = torch.full((11,), -1).scatter(0, pools.members[row, :size], torch.arange(size))
    here = batch.classes == row
    support, query = place[batch.support[here][:, 0]], place[batch.query[here][:, 0]]
    assert chi_square_bound(ordered_pairs(support, query, size), size * (size - 1))


def test_a_class_that_is_used_up_gives_every_order_of_its_texts():
    batch = sample_episodes(pools_of([3]), 6000, 1, 2, 1, seeded(3))
    order = torch.cat([batch.query, batch.support], dim=-1)[:, 0]
    assert chi_square_bound(ordered_pairs(order[:, 0], order[:, 1], 3), 6)


# 4. The same generator state gives the same episodes; the K-shot support is the prefix of the support with more
#    shots, and the queries are the same (queries are drawn first).


@pytest.mark.parametrize("sample", SAMPLERS)
def test_the_same_generator_state_gives_the_same_episodes(sample):
    draws = [sample(pools_of([20, 30, 40]), 50, 3, 5, 4, seeded(seed)).sha256() for seed in (7, 7, 8)]
    assert draws[0] == draws[1] != draws[2]


def test_a_generator_moves_on():
    generator = seeded()
    first, second = (sample_episodes(pools_of([20] * 4), 10, 3, 2, 2, generator).sha256() for _ in range(2))
    assert first != second


@pytest.mark.parametrize("shots", [1, 2, 5, 9])
def test_fewer_shots_are_a_prefix_and_have_the_same_queries(shots):
    pools = pools_of([13, 30, 14, 90, 13])
    largest = sample_episodes(pools, 100, 4, 10, 3, seeded(5))
    assert sample_episodes(pools, 100, 4, shots, 3, seeded(5)).sha256() == largest.prefix(shots, 3).sha256()


@pytest.mark.parametrize("sample", SAMPLERS)
def test_the_global_generator_has_no_part(sample):
    before = torch.get_rng_state()
    sample(pools_of([20] * 4), 10, 3, 2, 2, seeded())
    assert torch.equal(torch.get_rng_state(), before)


def hashes():
    return [sample(pools_of([20, 30, 40, 50]), 100, 3, 5, 4, seeded()).sha256() for sample in SAMPLERS]


def test_another_process_with_another_hash_seed_draws_the_same_episodes():
    command = [sys.executable, "-c", "from tests.episodes.test_sampler import hashes; print(*hashes())"]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    there = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    assert there.stdout.split() == hashes()


# Raises.


@pytest.mark.parametrize("sample", SAMPLERS)
@pytest.mark.parametrize("word", ["ways", "queries"])
def test_a_number_below_one_is_refused(sample, word):
    numbers = {"ways": 2, "shots": 2, "queries": 2} | {word: 0}
    with pytest.raises(ConfigError) as caught:
        sample(pools_of([9] * 3), 5, *numbers.values(), seeded())
    assert str(caught.value) == f"Got {word}=0, but an episode needs at least 1. Set {word} to 1 or more."


def test_no_support_can_be_asked_for_but_not_shared_out():
    pools = pools_of([9] * 3)
    batch = sample_episodes(pools, 5, 2, 0, 4, seeded())
    assert batch.support.shape == (5, 2, 0)
    assert torch.equal(batch.query, sample_episodes(pools, 5, 2, 3, 4, seeded()).query)
    with pytest.raises(ConfigError, match=r"shots=0, and there are no texts to share out unequally"):
        sample_realistic_episodes(pools, 5, 2, 0, 4, seeded())
    with pytest.raises(ConfigError, match=r"shots=-1, but an episode needs at least 0"):
        sample_episodes(pools, 5, 2, -1, 4, seeded())


@pytest.mark.parametrize("sample", SAMPLERS)
def test_more_ways_than_classes_are_refused(sample):
    with pytest.raises(ConfigError) as caught:
        sample(pools_of([9] * 3), 5, 4, 1, 1, seeded())
    assert str(caught.value) == (
        "Got ways=4, but there are only 3 classes to draw from. Lower ways, or set ways=all to use every class."
    )


def test_a_class_with_too_few_texts_is_named():
    with pytest.raises(TaskError) as caught:
        sample_episodes(pools_of([20, 19, 30]), 5, 2, 5, 15, seeded())
    assert str(caught.value) == (
        "Class 'class 1' has 19 texts, but an episode needs shots + queries = 5 + 15 = 20. Lower shots or queries, "
        "or set task.min_texts=20 to leave such classes out."
    )


def test_further_classes_with_too_few_texts_are_counted():
    with pytest.raises(TaskError, match=r"= 20\. \(2 more classes are too small as well\.\) Lower"):
        sample_episodes(pools_of([20, 19, 2, 1]), 5, 2, 5, 15, seeded())


def test_a_class_with_exactly_enough_texts_is_accepted():
    batch = sample_episodes(pools_of([20, 20]), 5, 2, 5, 15, seeded())
    together = torch.cat([batch.support, batch.query], dim=-1).flatten(1).sort(-1).values
    assert torch.equal(together, torch.arange(40).expand(5, 40))


def test_unequal_support_needs_only_one_text_beside_the_queries():
    batch = sample_realistic_episodes(pools_of([4, 4]), 20, 2, 50, 3, seeded())
    assert bool((batch.support_mask.sum(-1) == 1).all())
    with pytest.raises(TaskError, match=r"Class 'class 0' has 3 texts, .* = 1 \+ 3 = 4\."):
        sample_realistic_episodes(pools_of([3, 4]), 20, 2, 50, 3, seeded())


def test_shuffling_in_turns_changes_nothing(monkeypatch):
    pools = ClassPools.from_labels(torch.arange(90) % 3, range(3))
    whole = sample_episodes(pools, 20, 2, 3, 4, torch.Generator().manual_seed(0))
    monkeypatch.setattr("fewshot.episodes.sampler._DECK_ELEMENTS", 2 * 30 * 7)
    assert sample_episodes(pools, 20, 2, 3, 4, torch.Generator().manual_seed(0)).sha256() == whole.sha256()


@pytest.mark.parametrize("count", [1, 3, 7, 30])
def test_large_classes_are_drawn_from_as_small_ones_are(count):
    sizes = torch.tensor([[5, 40], [40, 3], [1, 40]])
    uniforms = torch.rand(count, 3, 2, generator=seeded(0), dtype=torch.float64)
    deck = torch.arange(40).expand(3, 2, 40).clone()
    assert torch.equal(sampler._shuffled_indices(40, sizes, uniforms), sampler._shuffled(deck, sizes, uniforms))
