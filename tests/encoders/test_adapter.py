"""Adapters: the formula, where they stand, and how they come and go."""

import pytest
import torch
from torch import nn

from fewshot.encoders import Adapter, SentenceTransformerEncoder, TrainableEncoder
from fewshot.encoders.adapter import AdapterLayer, remove_adapters
from fewshot.encoders.layers import find_stack
from fewshot.errors import EncoderError
from fewshot.randomness import child_generator
from tests.encoders.test_trainable import KNOWN, TEXTS, build, train

PLACES = {"bert": "output.dropout", "mpnet": "output.dropout"}


def test_an_adapter_is_its_formula_and_starts_as_nothing():
    layer = AdapterLayer(6, 3, child_generator(0, "adapter"))
    hidden = torch.randn(2, 5, 6, generator=child_generator(0, "hidden"))
    assert torch.equal(layer(hidden), hidden)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, generator=child_generator(1, "moved"))
    d, u = layer.down, layer.up
    expected = hidden + torch.relu(hidden @ d.weight.T + d.bias) @ u.weight.T + u.bias
    torch.testing.assert_close(layer(hidden), expected)


@pytest.mark.parametrize("architecture", KNOWN)
def test_it_stands_behind_the_feed_forward_part_of_each_layer(checkpoints, architecture):
    trainable = TrainableEncoder(build(checkpoints[architecture]), Adapter(dim=5))
    stack = find_stack(trainable.backbone)
    place = PLACES.get(architecture, "mlp")
    for layer in stack.layers:
        adapter = layer.get_submodule(f"{place}.bottleneck")
        assert (adapter.down.out_features, adapter.up.out_features) == (5, 32)
    assert trainable.trainable_share.trained == len(stack.layers) * (2 * 32 * 5 + 5 + 32)


def test_what_it_does_reaches_the_features_through_the_residual(checkpoints):
    trainable = TrainableEncoder(build(checkpoints["llama"]), Adapter())
    last = find_stack(trainable.backbone).layers[-1]
    seen = {}
    last.mlp.register_forward_hook(lambda module, inputs, output: seen.update(adapted=output))
    last.register_forward_hook(lambda module, inputs, output: seen.update(layer=output))
    last.post_attention_layernorm.register_forward_hook(lambda module, inputs, output: seen.update(residual=inputs[0]))
    nn.init.normal_(last.mlp.bottleneck.up.weight, generator=child_generator(0, "up"))
    trainable.compute(TEXTS)
    layer = seen["layer"] if isinstance(seen["layer"], torch.Tensor) else seen["layer"][0]
    torch.testing.assert_close(layer, seen["residual"] + seen["adapted"])


def test_minilm_has_one_per_cent_of_its_parameters():
    share = TrainableEncoder(SentenceTransformerEncoder(cache=None), Adapter()).trainable_share
    assert share.trained == 6 * (2 * 384 * 48 + 48 + 384)
    assert share.share < 0.02


def test_a_layer_without_a_known_part_is_one_sentence(checkpoints):
    encoder = build(checkpoints["llama"])
    for layer in find_stack(encoder.backbone).layers:
        layer.mixer = layer._modules.pop("mlp")
    encoder.replace = lambda **settings: encoder  # the copy that is trained
    with pytest.raises(EncoderError, match=r"no feed-forward parts of a known name.*Expected mlp, ffn, output.dropout"):
        TrainableEncoder(encoder, Adapter())


@pytest.mark.parametrize("architecture", KNOWN)
def test_removed_they_leave_the_published_model(checkpoints, architecture):
    trainable = train(TrainableEncoder(build(checkpoints[architecture]), Adapter()))
    names = {name for name, _ in trainable.published.module.named_parameters()}
    remove_adapters(trainable.backbone)
    assert {name for name, _ in trainable.module.named_parameters()} == names
    assert torch.equal(trainable.encoder.compute(TEXTS), trainable.published.encode(TEXTS))
