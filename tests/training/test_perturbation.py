"""Moved word embeddings: as long as was asked for, uphill, and gone when they have done their work."""

import numpy as np
import pytest
import torch
from torch import nn

from fewshot.encoders import Full, LoRA, TrainableEncoder, TransformerEncoder
from fewshot.episodes import sample_episodes
from fewshot.errors import ConfigError
from fewshot.learners import Prototypical
from fewshot.training.encoder_objective import EncoderBatch, EncoderObjective
from fewshot.training.perturbation import fast_gradient, perturbed, recorded, word_layer
from tests.synthetic import seeded
from tests.tiny_models import ARCHITECTURES, DIM, save_transformer
from tests.training.first_word import first_word_task


@pytest.fixture(scope="module")
def task():
    return first_word_task()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    home = tmp_path_factory.mktemp("perturbation")
    return {name: str(save_transformer(name, home / name)) for name in ARCHITECTURES}


def objective(folder, task, trainable=Full, size=0.01, weight=1.0, **settings):
    encoder = TransformerEncoder(folder, cache=None, dtype="float32")
    weights = {"task": 2.0, "adversarial": weight}
    trained = TrainableEncoder(encoder, trainable(encoder_dropout=0.0, **settings), seeded(0))
    return EncoderObjective(trained, Prototypical(DIM), task.texts, None, weights=weights, adversarial_size=size)


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
