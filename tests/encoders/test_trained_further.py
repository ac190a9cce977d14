"""Training that goes on from trained weights: a later one on top of an earlier one."""

import itertools

import pytest
import torch

from fewshot.encoders import Full, LoRA, TrainableEncoder
from tests.encoders.test_trainable import KINDS, TEXTS, build, train

PAIRS = list(itertools.product(KINDS, KINDS))


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("architecture", ["bert", "deepseek_v3"])
def test_it_starts_where_the_earlier_one_ended_and_is_read_again(checkpoints, tmp_path, architecture, first, second):
    earlier = train(TrainableEncoder(build(checkpoints[architecture]), KINDS[first]())).merged()
    later = TrainableEncoder(earlier, KINDS[second]())
    start = earlier.encode(TEXTS)
    torch.testing.assert_close(later.compute(TEXTS), start, atol=1e-6, rtol=0)
    end = train(later).compute(TEXTS)
    assert not torch.allclose(end, start, atol=1e-3)
    merged = later.merged()
    torch.testing.assert_close(merged.encode(TEXTS), end, atol=2e-5, rtol=0)
    assert len({build(checkpoints[architecture]).fingerprint, earlier.fingerprint, merged.fingerprint}) == 3
    later.save(tmp_path)
    loaded = build(checkpoints[architecture], weights=tmp_path)
    assert torch.equal(loaded.encode(TEXTS), merged.encode(TEXTS))
    assert loaded.fingerprint == merged.fingerprint
    later.interpolate(0.0)
    torch.testing.assert_close(later.compute(TEXTS), start, atol=1e-6, rtol=0)
    assert torch.equal(earlier.encode(TEXTS), start)


def test_what_was_there_before_counts_for_the_fingerprint(checkpoints):
    ones = [train(TrainableEncoder(build(checkpoints["bert"]), Full()), steps).merged() for steps in (1, 2)]
    later = [TrainableEncoder(encoder, LoRA()).merged() for encoder in ones]
    assert later[0].fingerprint != later[1].fingerprint
