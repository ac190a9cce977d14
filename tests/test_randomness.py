import hashlib

import pytest
import torch

from fewshot.randomness import child_generator, child_seed


def test_a_seed_is_the_first_eight_bytes_of_the_hash_of_root_and_name():
    digest = hashlib.sha256(b"7/sampler").digest()
    assert child_seed(7, "sampler") == int.from_bytes(digest[:8], "little") // 2


def test_seeds_stay_the_same_between_versions():
    assert child_seed(0, "sampler") == 5175841403697634438


@pytest.mark.parametrize("other", [(1, "sampler"), (0, "training")])
def test_another_root_or_name_is_another_stream(other):
    ours = torch.rand(4, generator=child_generator(0, "sampler"))
    assert not torch.equal(ours, torch.rand(4, generator=child_generator(*other)))


def test_the_same_name_is_the_same_stream_whatever_was_drawn_before():
    first = torch.rand(4, generator=child_generator(3, "a"))
    torch.rand(100, generator=child_generator(3, "b"))
    assert torch.equal(first, torch.rand(4, generator=child_generator(3, "a")))


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    torch.rand(4, generator=child_generator(0, "sampler"))
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_fit_into_63_bits():
    assert all(0 <= child_seed(seed, "x") < 2**63 for seed in range(200))
    assert max(child_seed(seed, "x") for seed in range(200)) > 2**62
