"""The terms of an encoder's loss against plain loops and cases worked by hand, and the perturbation of words."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from fewshot.encoders import Full, LoRA, TrainableEncoder, TransformerEncoder
from fewshot.episodes import sample_episodes
from fewshot.errors import ConfigError
from fewshot.learners import Prototypical
from fewshot.training import EncoderTrainer
from fewshot.training.encoder_objective import EncoderBatch, EncoderObjective
from fewshot.training.terms import (
    alignment,
    consistency,
    fast_gradient,
    perturbed,
    recorded,
    supervised_contrastive,
    word_layer,
)
from tests.synthetic import seeded
from tests.tiny_models import ARCHITECTURES, DIM, save_transformer
from tests.training.first_word import first_word_task


def unit(n: int, dim: int = 6, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(n, dim, generator=seeded(seed), dtype=torch.float64), dim=-1).float()


def test_contrastive_is_the_papers_sum():
    z, labels = unit(7), torch.tensor([0, 0, 1, 1, 1, 2, 0])
    terms = []
    for i in range(7):
        others = [j for j in range(7) if j != i]
        total = sum(math.exp(float(z[i] @ z[j]) / 0.2) for j in others)
        friends = [j for j in others if labels[j] == labels[i]]
        if friends:
            terms.append(-sum(float(z[i] @ z[p]) / 0.2 - math.log(total) for p in friends) / len(friends))
    assert float(supervised_contrastive(z, labels, 0.2)) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_contrastive_of_two_friends_alone_is_zero():
    assert float(supervised_contrastive(unit(2), torch.tensor([4, 4]))) == pytest.approx(0.0, abs=1e-6)


def test_contrastive_without_any_friends_is_zero_and_differentiable():
    z = unit(3).requires_grad_()
    loss = supervised_contrastive(z, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 0
    assert not z.grad.any()


def test_contrastive_falls_when_classes_draw_together():
    labels = torch.tensor([0, 0, 1, 1])
    apart = torch.eye(4)
    together = torch.eye(4)[[0, 0, 1, 1]]
    assert supervised_contrastive(together, labels) < supervised_contrastive(apart, labels)


def test_consistency_is_zero_where_the_neighbourhoods_agree():
    teacher = unit(5)
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, generator=seeded(1)))
    assert float(consistency(teacher @ rotation, teacher)) == pytest.approx(0.0, abs=1e-5)


def test_consistency_is_the_mean_divergence_of_each_row_without_itself():
    ours, theirs, expected = unit(4), unit(4, seed=1), 0.0
    for i in range(4):
        others = [j for j in range(4) if j != i]
        p = torch.stack([theirs[i] @ theirs[j] for j in others]).div(0.3).softmax(0)
        q = torch.stack([ours[i] @ ours[j] for j in others]).div(0.3).softmax(0)
        expected += float((p * (p / q).log()).sum()) / 4
    assert float(consistency(ours, theirs, 0.3)) == pytest.approx(expected, rel=1e-5)


def test_consistency_takes_a_teacher_of_another_width():
    assert float(consistency(unit(4), unit(4, dim=9))) > 0


def test_alignment_is_the_squared_distance_of_the_means():
    ours, theirs = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, -1.0]])
    assert float(alignment(ours, theirs)) == pytest.approx(0.25 + 2.25)
    assert float(alignment(ours, ours)) == 0


@pytest.fixture(scope="module")
def task():
    return first_word_task()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("perturbation")
    return {name: str(save_transformer(name, home / name)) for name in ARCHITECTURES}


def objective(folder, task, trainable=Full, size=0.01, weight=1.0, **settings):
    encoder = TransformerEncoder(folder, cache=None, dtype="float32")
    trainer = EncoderTrainer(task_weight=2.0, adversarial_weight=weight, adversarial_size=size)
    trained = TrainableEncoder(encoder, trainable(encoder_dropout=0.0, **settings), seeded(0))
    return EncoderObjective(trained, Prototypical(DIM), task.texts, None, trainer)


def batch_of(task):
    return EncoderBatch(sample_episodes(task.pools("train"), 1, 4, 2, 3, seeded(5)))


def test_a_move_has_its_share_of_the_length_of_the_words_and_the_direction_of_the_gradient():
    words, gradient = (torch.randn(3, 4, 5, generator=seeded(seed)) for seed in (0, 1))
    gradient[1, 2:] = 0  # padding
    gradient[2] = 0  # a text that the loss does not look at
    move = fast_gradient(words, gradient, 0.3)
    for text, real in ((0, 4), (1, 2)):
        length = 0.3 * float(words[text, :real].norm())
        np.testing.assert_allclose(move[text], length * gradient[text] / gradient[text].norm(), rtol=1e-5)
    assert not move[2].any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("trainable", [Full, LoRA])
def test_the_loss_is_larger_where_words_are_moved_and_reaches_all_that_is_trained(
    folders, task, architecture, trainable
):
    module = objective(folders[architecture], task, trainable)
    losses = module(batch_of(task))
    assert set(losses) == {"loss", "task", "adversarial"}
    assert losses["adversarial"].item() > 2 * losses["task"].item() * (1 + 1e-5)
    assert losses["loss"].item() == pytest.approx(2 * losses["task"].item() + losses["adversarial"].item())
    losses["adversarial"].backward()
    silent = ("lora_A", "pooler")  # LoRA starts at B = 0, and mean pooling goes past BERT's pooler
    trained = [
        p
        for name, p in module.encoder.named_parameters()
        if p.requires_grad and not any(word in name for word in silent)
    ]
    assert all(p.grad is not None and bool(p.grad.any()) for p in trained if p.ndim == 2)


@pytest.mark.parametrize("architecture", ["bert", "qwen2"])
def test_the_rise_is_that_of_the_gradient_to_first_order(folders, task, architecture):
    """L(s + r) - L(s) = size * sum_i |s_i| |g_i|, with g as autograd keeps it at what the layer gives."""
    size, batch, kept = 1e-4, batch_of(task), []
    module = objective(folders[architecture], task, size=size).double()
    word_layer(module.encoder).weight.requires_grad_(True)
    losses = module(batch)
    rise = float(losses["adversarial"].detach()) - 2 * float(losses["task"].detach())

    def keep(module, inputs, output):
        output.retain_grad()
        kept.append((inputs[0], output))

    word_layer(module.encoder).register_forward_hook(keep)
    module.weights = {"task": 2.0}
    module(batch)["loss"].backward()
    expected = 0.0
    for ids, output in kept:
        lengths = (output.detach() * (ids != 0)[..., None]).flatten(1).norm(dim=1)
        expected += size * float((lengths * output.grad.flatten(1).norm(dim=1)).sum())
    assert rise == pytest.approx(expected, rel=0.02)


def test_a_move_against_the_gradient_makes_the_loss_smaller(folders, task):
    module = objective(folders["bert"], task, weight=0.0)
    layer, batch = word_layer(module.encoder), batch_of(task)
    with recorded(layer) as seen:
        loss = module(batch)["loss"]
    moves = seen.perturbations(loss, 0.01)
    with perturbed(layer, [-move for move in moves]):
        assert float(module(batch)["loss"].detach()) < float(loss.detach())
    assert float(module(batch)["loss"].detach()) == float(loss.detach())


def test_nothing_is_left_on_the_layer_even_after_an_error():
    layer = nn.Embedding(3, 2)
    for block in (recorded(layer), perturbed(layer, [])):
        with pytest.raises(RuntimeError, match="stop"), block:
            raise RuntimeError("stop")
    assert not layer._forward_hooks


def test_frozen_words_stay_as_they_are(folders, task):
    module = objective(folders["bert"], task, LoRA)
    layer = word_layer(module.encoder)
    before = layer.weight.clone()
    module(batch_of(task))["loss"].backward()
    assert layer.weight.grad is None
    assert torch.equal(layer.weight, before)


def test_an_encoder_without_words_is_refused(folders, task, monkeypatch):
    module = objective(folders["bert"], task)
    monkeypatch.setattr(module.encoder.backbone, "get_input_embeddings", lambda: None)
    with pytest.raises(ConfigError, match=r"has no layer of word embeddings.*encoder_training\.adversarial_weight=0"):
        module(batch_of(task))
