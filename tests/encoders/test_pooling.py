"""Pooling, and a shallow layer beside the embedding."""

import numpy as np
import pytest
import torch

from fewshot.encoders import SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.pooling import POOLINGS
from fewshot.errors import EncoderError
from tests.tiny_models import ARCHITECTURES


def by_hand(name, hidden, mask):
    rows = [h[m] for h, m in zip(hidden, mask.astype(bool), strict=True)]
    if name in ("cls", "last"):
        return np.stack([row[0 if name == "cls" else -1] for row in rows])
    weights = [np.arange(1, len(row) + 1) if name == "weighted_mean" else np.ones(len(row)) for row in rows]
    return np.stack([np.average(row, axis=0, weights=weight) for row, weight in zip(rows, weights, strict=True)])


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("mask", [[[1, 1, 1, 0], [1, 0, 0, 0]], [[0, 1, 1, 1], [0, 0, 0, 1]], [[1] * 4] * 2])
@pytest.mark.parametrize("as_type", [torch.int64, torch.bool])
def test_each_pooling_equals_numpy_with_padding_on_either_side(name, mask, as_type):
    hidden = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    pooled = POOLINGS[name](torch.tensor(hidden), torch.tensor(mask).to(as_type))
    np.testing.assert_allclose(pooled, by_hand(name, hidden, np.array(mask)), atol=1e-6)


@pytest.mark.parametrize("name", POOLINGS)
def test_padding_is_never_read(name):
    hidden = torch.randn(1, 3, 2, generator=torch.Generator().manual_seed(0))
    hidden[0, 2] = float("nan")
    assert POOLINGS[name](hidden, torch.tensor([[1, 1, 0]])).isfinite().all()


@pytest.mark.parametrize("name", POOLINGS)
def test_half_precision_is_pooled_in_32_bits_and_double_stays(name):
    mask = torch.ones(1, 300, dtype=torch.int64)
    hidden = torch.full((1, 300, 1), 1.0078125, dtype=torch.bfloat16)  # a sum in bfloat16 stops growing at 256
    pooled = POOLINGS[name](hidden, mask)
    assert pooled.dtype == torch.float32
    assert pooled.item() == pytest.approx(1.0078125, abs=1e-6)
    assert POOLINGS[name](hidden.double(), mask).dtype == torch.float64


@pytest.mark.parametrize("name", POOLINGS)
def test_gradients_reach_the_tokens(name):
    hidden = torch.randn(1, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h: POOLINGS[name](h, torch.tensor([[1, 1, 0]])), hidden)


TEXTS = ["bone", "a fracture of the bone", "income tax form"]


def test_the_features_are_the_embedding_and_the_mean_of_the_layer():
    plain = SentenceTransformerEncoder(dtype="float32", cache=None, shallow_layer=None)
    both = SentenceTransformerEncoder(dtype="float32", cache=None, shallow_layer=3, shallow_weight=0.5)
    features = both.encode(TEXTS).numpy()
    assert features.shape == (3, 768)
    expected = []
    for text in TEXTS:
        batch = plain.tokenize([text])
        with torch.no_grad():
            hidden = plain.backbone(**batch, output_hidden_states=True).hidden_states[3][0].numpy().mean(0)
        row = np.concatenate([plain.encode([text])[0].numpy(), 0.5 * hidden / np.linalg.norm(hidden)])
        expected.append(row / np.linalg.norm(row))
    np.testing.assert_allclose(features, np.stack(expected), atol=1e-5)


def test_length_is_one_and_the_cache_tells_them_apart():
    one = SentenceTransformerEncoder(shallow_layer=3)
    others = [SentenceTransformerEncoder(shallow_layer=None), SentenceTransformerEncoder(shallow_layer=2)]
    others.append(SentenceTransformerEncoder(shallow_layer=3, shallow_weight=0.7))
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 4
    norms = SentenceTransformerEncoder(cache=None, shallow_layer=3).encode(TEXTS).norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(3), atol=1e-5, rtol=0)


def test_gradients_reach_both_parts():
    encoder = SentenceTransformerEncoder(dtype="float32", cache=None, shallow_layer=1)
    features = encoder.embed(encoder.tokenize(TEXTS))
    features[:, 384:].square().sum().backward()
    layers = encoder.backbone.encoder.layer
    assert layers[0].output.dense.weight.grad.abs().sum() > 0
    assert layers[2].output.dense.weight.grad.abs().sum() == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layer", [0, 1])
def test_every_architecture_has_shallow_layers(checkpoints, architecture, layer):
    folder = str(checkpoints[architecture])
    plain = TransformerEncoder(folder, dtype="float32", cache=None)
    both = TransformerEncoder(folder, dtype="float32", cache=None, shallow_layer=layer, shallow_weight=2.0)
    text = "heart attack"
    ours, theirs = both.encode([text])[0] * 5**0.5, plain.encode([text])[0]
    with torch.no_grad():
        hidden = plain.module(**plain.tokenize([text]), output_hidden_states=True).hidden_states[layer][0].mean(0)
    dim = len(theirs)
    torch.testing.assert_close(ours[:dim], theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[dim:], 2 * hidden / hidden.norm(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("layer", "words"), [(7, "6 hidden layers"), (-8, "6 hidden layers")])
def test_a_layer_that_is_not_there(layer, words):
    encoder = SentenceTransformerEncoder(cache=None, shallow_layer=layer)
    with pytest.raises(EncoderError, match=f"{words}.*encoder.shallow_layer={layer}"):
        encoder.encode(["bone"])
