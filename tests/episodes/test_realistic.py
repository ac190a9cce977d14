"""The contract of episodes with unequal support, sentence by sentence."""

import math

import pytest
import torch

from fewshot.episodes import sample_realistic_episodes
from tests.synthetic import pools_of, seeded

SIZES = [12, 300, 25, 60, 15, 90]


@pytest.fixture(scope="module")
def batch():
    return sample_realistic_episodes(pools_of(SIZES), 500, 4, 5, 10, seeded(1))


# 1. Ways and texts as in `sample_episodes`.


def test_classes_differ_and_are_equally_likely(batch):
    assert bool((batch.classes.sort(-1).values.diff(dim=-1) > 0).all())
    counts = torch.bincount(batch.classes.flatten(), minlength=6).double()
    # 500 episodes choose each class with probability 4/6: five standard deviations.
    assert float((counts - 500 * 4 / 6).abs().max()) < 5 * math.sqrt(500 * 4 / 6 * 2 / 6)


def test_texts_belong_to_their_classes_and_none_stands_twice(batch):
    pools = pools_of(SIZES)
    owner = torch.empty(sum(SIZES), dtype=torch.long)
    for c, size in enumerate(SIZES):
        owner[pools.members[c, :size]] = c
    for classes, support, query in zip(batch.classes, batch.support, batch.query, strict=True):
        texts = [torch.cat([s[s >= 0], q]) for s, q in zip(support, query, strict=True)]
        assert [owner[t].unique().tolist() for t in texts] == [[c] for c in classes.tolist()]
        together = torch.cat(texts)
        assert len(together.unique()) == len(together)


def test_queries_stay_balanced(batch):
    assert batch.query.shape == (500, 4, 10)
    assert int(batch.query.min()) >= 0


# 2. About `n_way * k_shot` support texts, in proportion to `size * exp(a)` with `a` uniform in [log 1/2, log 2];
#    never more than the budget and the texts that give every class at least one.


def test_the_total_is_about_the_budget():
    sizes = [400, 400, 400, 400]
    totals = sample_realistic_episodes(pools_of(sizes), 300, 4, 25, 10, seeded()).support_mask.sum((1, 2))
    assert int(totals.max()) <= 100
    assert int(totals.min()) > 100 - 4  # rounding down loses less than one text of each class


def test_the_total_never_exceeds_the_budget_and_uses_most_of_it(batch):
    total = batch.support_mask.sum((1, 2))
    assert int(total.max()) <= 20
    assert int(total.min()) > 20 - 4 - 1  # rounding down loses less than one text a class
    # One class of 300 beside small ones: they still get one each.
    small = sample_realistic_episodes(pools_of([300, 12, 12, 12]), 200, 4, 2, 10, seeded()).support_mask.sum(-1)
    assert int(small.min()) == 1
    assert int(small.sum(1).max()) <= 8


def test_shares_are_in_proportion_to_sizes_within_a_factor_of_two_for_each_class():
    batch = sample_realistic_episodes(pools_of([500, 2000]), 600, 2, 50, 1, seeded(4))
    shots = batch.support_mask.sum(-1).double()
    small = shots.gather(1, (batch.classes == 0).long().argmax(1, keepdim=True))[:, 0]
    large = shots.sum(1) - small
    log_ratio = (large / small / 4).log()
    # The difference of two uniforms over [-log 2, log 2]: at most 2 log 2, standard deviation log 2 * sqrt(2/3).
    # One text more or less of at least six moves the logarithm by 0.17 at most.
    assert float(log_ratio.abs().max()) < 2 * math.log(2) + 0.17
    assert float(log_ratio.abs().max()) > 1.0
    assert float(log_ratio.mean()) == pytest.approx(0, abs=0.1)
    assert float(log_ratio.std()) == pytest.approx(math.log(2) * math.sqrt(2 / 3), rel=0.1)


# 3. Every class has at least one support text and never more than it has left beside its queries.


def test_every_class_has_at_least_one_text_and_no_more_than_it_has_left(batch):
    shots = batch.support_mask.sum(-1)
    left = torch.tensor(SIZES)[batch.classes] - 10
    assert int(shots.min()) == 1
    assert bool((shots <= left).all())
    assert bool((shots == left).any())


# 4. Places that a class does not fill hold -1 and are false in the mask; filled places come first.


def test_padding_is_minus_one_behind_the_texts(batch):
    assert torch.equal(batch.support == -1, ~batch.support_mask)
    assert bool((batch.support_mask.int().diff(dim=-1) <= 0).all())
    assert bool((~batch.support_mask).any())
    assert bool(batch.support_mask[..., -1].any())  # no column is padding alone
