"""The contract of wrong labels in the support, sentence by sentence."""

from dataclasses import replace

import pytest
import torch

from fewshot.episodes import corrupt_support, sample_episodes, sample_realistic_episodes
from tests.synthetic import pools_of, seeded


@pytest.fixture(scope="module")
def clean():
    return sample_episodes(pools_of([30] * 6), 400, 4, 5, 3, seeded())


def foreign(batch, clean):
    """Where a place holds a text that another class of the clean episode had."""
    own = clean.support[:, :, None, :]
    return ~(batch.support[..., None] == own).any(-1)


# 1. In each class, `wrong_places(fraction, k_shot)` places receive a text of another class of the episode.


@pytest.mark.parametrize(("fraction", "wrong"), [(0.0, 0), (0.1, 0), (0.2, 1), (0.4, 2), (0.5, 2), (0.75, 3), (1.0, 5)])
def test_so_many_places_of_each_class_receive_a_text_of_another_class(clean, fraction, wrong):
    noisy = corrupt_support(clean, fraction, seeded(1))
    assert torch.equal(foreign(noisy, clean).sum(-1), torch.full((400, 4), wrong))


def test_places_that_are_not_corrupted_keep_their_text(clean):
    noisy = corrupt_support(clean, 0.4, seeded(1))
    kept = ~foreign(noisy, clean)
    assert torch.equal(noisy.support[kept], clean.support[kept])


def test_every_place_is_corrupted_equally_often_and_by_every_other_class(clean):
    noisy = corrupt_support(clean, 0.2, seeded(2))
    hit = foreign(noisy, clean)[:, 0]
    # 400 episodes, one of five places: 80 each, five standard deviations are 40.
    assert float((hit.sum(0) - 80).abs().max()) < 40
    texts = noisy.support[:, 0][hit]
    giver = (clean.support == texts[:, None, None]).any(-1).long().argmax(1)
    assert torch.bincount(giver, minlength=4)[0] == 0
    assert float((torch.bincount(giver, minlength=4)[1:] - 400 / 3).abs().max()) < 48


# 2. The texts of an episode stay the same set, so that no text is lost or doubled.


@pytest.mark.parametrize("fraction", [0.2, 0.6, 1.0])
def test_no_text_is_lost_or_doubled(clean, fraction):
    noisy = corrupt_support(clean, fraction, seeded(3))
    assert torch.equal(noisy.support.flatten(1).sort(1).values, clean.support.flatten(1).sort(1).values)


# 3. Queries are untouched.


def test_queries_classes_and_mask_are_untouched(clean):
    noisy = corrupt_support(clean, 0.6, seeded(3))
    assert replace(noisy, support=clean.support).sha256() == clean.sha256()


def test_nothing_changes_at_a_fraction_of_zero(clean):
    assert corrupt_support(clean, 0.0, seeded(3)).sha256() == clean.sha256()


def test_the_same_generator_state_gives_the_same_noise(clean):
    hashes = [corrupt_support(clean, 0.4, seeded(seed)).sha256() for seed in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_fraction_outside_the_unit_interval_is_refused(clean, fraction):
    with pytest.raises(ValueError, match=f"fraction={fraction}: expected at least two ways, a fraction in"):
        corrupt_support(clean, fraction, seeded())


def test_one_way_is_refused():
    with pytest.raises(ValueError, match="Got 1 ways"):
        corrupt_support(sample_episodes(pools_of([9]), 2, 1, 2, 2, seeded()), 0.5, seeded())


def test_unequal_support_is_refused():
    unequal = sample_realistic_episodes(pools_of([9, 90]), 20, 2, 5, 2, seeded())
    with pytest.raises(ValueError, match="support of equal sizes"):
        corrupt_support(unequal, 0.5, seeded())
