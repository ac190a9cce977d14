"""A training learns, resumes to the same bits, and keeps to its schedule."""

import copy
import math

import pytest
import torch

from benchmarks.pretraining.corpus import Tokens
from benchmarks.pretraining.deepseek import pooled
from benchmarks.pretraining.trainer import Distillation, Pair, Schedule, _parts, token_loss
from fewshot.errors import StorageError

STEPS = 12
SCHEDULE = Schedule(STEPS, batch=32, learning_rate=3e-3, warmup=3)


@pytest.fixture
def begin(student, teacher, corpus):
    """Trainings that start alike."""
    return lambda schedule=SCHEDULE, dtype=torch.float32: Distillation(
        copy.deepcopy(student), copy.deepcopy(teacher).to(dtype), corpus, schedule, seed=1
    )


def weights(training):
    return {name: tensor.clone() for name, tensor in training.student.state_dict().items()}


@pytest.mark.slow
def test_the_student_comes_near_its_teacher(begin, corpus):
    training = begin(Schedule(150, batch=64, learning_rate=3e-3, warmup=10))
    before = training.held_out_cosine(corpus)
    reports = []
    training.run(reports.append, every=50)
    assert training.held_out_cosine(corpus) > max(0.9, before + 0.1)
    assert [report.step for report in reports] == [50, 100, 150]
    assert reports[-1].loss < reports[0].loss
    assert reports[-1].texts == 150 * 64


def test_the_teacher_is_left_alone_and_texts_have_targets_of_their_own(begin, monkeypatch):
    training, seen = begin(), []
    original = copy.deepcopy(training.teacher.state_dict())
    monkeypatch.setattr(
        "benchmarks.pretraining.trainer.imitation_loss", lambda s, t, *_: seen.append((s, t)) or s.sum()
    )
    training.run(until=1)
    student, teacher = seen[0]
    assert student.shape == teacher.shape == (32, 32)
    assert not teacher.requires_grad
    assert len(teacher.round(decimals=4).unique(dim=0)) > 20  # of 32 texts, some of them drawn twice
    assert all(torch.equal(tensor, original[name]) for name, tensor in training.teacher.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_resumed_training_ends_with_the_same_bits(begin, tmp_path, dtype):
    whole = begin(dtype=dtype)
    whole.run()
    first = begin(dtype=dtype)
    first.run(until=5)
    first.save(tmp_path / "checkpoint.safetensors")
    second = begin(dtype=dtype)
    second.load(tmp_path / "checkpoint.safetensors")
    assert (second.step, second.seconds) == (5, first.seconds)
    second.run()
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(second).items())
    assert second.step == STEPS


def test_a_damaged_training_is_refused(begin, tmp_path):
    file, training = tmp_path / "checkpoint.safetensors", begin()
    training.save(file)
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(StorageError, match="is not as it was written"):
        training.load(file)


def test_looking_at_held_out_lines_changes_nothing(begin, corpus):
    quiet, watched = begin(), begin()
    quiet.run()
    watched.run(lambda _: watched.held_out_cosine(corpus), every=2)
    expected = weights(quiet)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(watched).items())


def test_the_student_is_in_the_teachers_precision_and_its_biases_are_not(begin):
    training = begin(dtype=torch.bfloat16)
    training.run(until=2)
    state = weights(training)
    assert state["embed_tokens.weight"].dtype == torch.bfloat16
    bias = next(tensor for name, tensor in state.items() if name.endswith("e_score_correction_bias"))
    assert bias.dtype == torch.float32
    assert bias.abs().max() == pytest.approx(2e-3)


def test_small_steps_are_not_lost_in_16_bits(begin):
    training = begin(Schedule(40, batch=32, learning_rate=1e-5, warmup=1), torch.bfloat16)
    before = training._exact["norm.weight"].detach().clone()
    training.run()
    moved = (training._exact["norm.weight"] - before).abs()
    assert 0 < moved.max() < 5e-4  # far less than a step of bfloat16 at 1, which is 0.008


def test_the_rate_rises_and_falls_by_steps_or_by_time():
    schedule = Schedule(100, minutes=1.0, learning_rate=1.0, warmup=10)
    assert schedule.rate(4, 0.0) == pytest.approx(0.5)
    assert schedule.rate(50, 0.5) == pytest.approx(0.01 + 0.99 / 2)
    assert schedule.rate(99, 1.0) == pytest.approx(0.01)
    assert schedule.progress(20, 45.0) == 0.75
    assert schedule.progress(90, 45.0) == 0.9
    assert Schedule(100).progress(20, 1e9) == 0.2
    assert math.isinf(Schedule(100).minutes)


def test_time_ends_a_training(begin):
    training = begin(Schedule(10**6, batch=8, minutes=0.3 / 60, warmup=1))
    training.run()
    assert 0 < training.step < 10**6
    assert training.seconds >= 0.3


def test_parts_hold_each_text_once_in_widths_of_eight():
    lengths = torch.tensor([3] * 5000 + [9] * 4000 + [128] * 400)
    place = torch.arange(128)
    tokens = Tokens(place.repeat(len(lengths), 1), place < lengths[:, None])
    parts = _parts(tokens, 2048)
    assert sum(len(part.ids) for part in parts) == len(lengths)
    assert all(part.ids.shape[1] % 8 == 0 and part.ids.numel() <= 2048 for part in parts)
    assert torch.cat([part.mask.sum(1) for part in parts[::-1]]).tolist() == lengths.tolist()
    assert {part.ids.shape[1] for part in parts} == {8, 16, 128}


@pytest.mark.slow
def test_layers_are_learnt_in_pairs_and_frozen_weights_stay(student, teacher, corpus):
    student.embed_tokens.requires_grad_(False)
    before = student.embed_tokens.weight.clone()
    pairs = (Pair(-1, -1, 1.0), Pair(1, 1, 0.6))
    training = Distillation(student, teacher, corpus, Schedule(100, batch=64, warmup=10), seed=1, pairs=pairs)
    tokens = corpus.lines(torch.arange(8))
    with torch.no_grad():
        untrained, _ = training._states(tokens)
    training.run()
    assert torch.equal(student.embed_tokens.weight, before)
    with torch.no_grad():
        states, given = training._states(tokens)
    for found, expected, before in zip(states, given, untrained, strict=True):
        near, far = (
            torch.cosine_similarity(pooled(h, tokens.mask), pooled(expected, tokens.mask)) for h in (found, before)
        )
        assert near.mean() > far.mean() + 0.05


def test_padding_has_no_part_in_the_token_loss():
    student, teacher = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    loss = token_loss(student, teacher, mask)
    expected = (student - teacher)[mask].square().sum() / teacher[mask].square().sum()
    assert loss.item() == pytest.approx(expected.item())
    changed = student.masked_fill(~mask[..., None], 100.0)
    assert token_loss(changed, teacher, mask).item() == pytest.approx(loss.item())
