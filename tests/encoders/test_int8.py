"""Products in 8 bits: near the exact ones, a text at a time, and only where they are faster and close."""

import logging

import pytest
import torch
from torch import nn

from fewshot.encoders import Full, LoRA, TrainableEncoder, TransformerEncoder, int8, precision
from fewshot.encoders.int8 import multiplies_int8, use_int8, withdraw_int8
from fewshot.encoders.shared import SharedModel
from fewshot.encoders.unmerged import UnmergedModel
from fewshot.errors import ConfigError
from tests.encoders.test_trainable import train

TEXTS = ["heart attack", "tax form", "acute pain in the chest", "one two three four five"]
pytestmark = pytest.mark.skipif(
    not multiplies_int8(torch.device("cpu")), reason="this CPU has no fast products of 8-bit numbers"
)


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    monkeypatch.setattr(precision, "_CHOSEN", {})


@pytest.fixture
def is_faster(monkeypatch):
    monkeypatch.setattr(int8, "_times_as_fast", lambda *_: 2.0)


def encoder(folder, **settings):
    return TransformerEncoder(str(folder), **{"cache": None, "dtype": "int8"} | settings)


class Net(nn.Module):
    """A stack of one layer whose two maps read the same tensor, with columns of very different size."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.config = type("Config", (), {"num_hidden_layers": 1})
        self.layers = nn.ModuleList([nn.ModuleDict({"a": nn.Linear(32, 24), "b": nn.Linear(32, 16, bias=False)})])
        self.size = torch.logspace(-2, 2, 32)

    def forward(self, x):
        x = x * self.size
        return torch.cat([part(x) for part in self.layers[0].values()], dim=-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_near_the_exact_ones_for_each_row_alone(dtype):
    net, rows = Net(), torch.randn(3, 7, 32)
    with torch.inference_mode():
        exact = net(rows)
        net.to(dtype)
        net.size = net.size.to(dtype)
        use_int8(net, lambda: net(rows.to(dtype)))
        found = net(rows.to(dtype))
        alone = net(rows[1:2, 3:5].to(dtype))
    assert found.dtype == dtype
    assert (found.float() - exact).norm() < 0.02 * exact.norm()
    assert torch.equal(alone, found[1:2, 3:5])  # no row decides how another one is read


def test_gradients_and_weights_are_the_exact_ones(checkpoints, is_faster):
    used, exact = encoder(checkpoints["bert"]), encoder(checkpoints["bert"], dtype="float32")
    used._target = torch.float32
    assert used.precision == torch.int8
    batch = used.tokenize(TEXTS)
    assert torch.equal(used.embed(batch), exact.embed(batch))  # differentiable
    assert not torch.equal(used.encode(TEXTS), exact.encode(TEXTS))
    withdraw_int8(used.backbone)
    assert torch.equal(used.compute(TEXTS), exact.compute(TEXTS))


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "qwen2", "deepseek_v2"])
def test_features_are_close_with_their_own_fingerprint(checkpoints, is_faster, tmp_path, monkeypatch, architecture):
    monkeypatch.setattr(int8, "MIN_COSINE", 0.9)
    used = encoder(checkpoints[architecture], cache=tmp_path)
    automatic = used.replace(dtype="auto")
    features = used.encode(TEXTS)
    assert used.precision == torch.int8
    assert torch.cosine_similarity(features, automatic.encode(TEXTS)).min() > 0.98
    assert used.fingerprint != automatic.fingerprint
    assert used.portable_fingerprint == automatic.portable_fingerprint
    monkeypatch.setattr(precision, "_CHOSEN", {})  # as in a new process
    monkeypatch.setattr(TransformerEncoder, "_load", None)
    again = encoder(checkpoints[architecture], cache=tmp_path)
    assert torch.equal(again.encode(TEXTS), features)


@pytest.mark.parametrize("reason", ["0.50 times the speed", "a cosine of", "no fast products"])
def test_it_stays_as_it_was_and_says_why(checkpoints, monkeypatch, caplog, reason):
    monkeypatch.setattr(int8, "_times_as_fast", lambda *_: 0.5)
    if reason == "a cosine of":
        monkeypatch.setattr(int8, "MIN_COSINE", 1.1)
    if reason == "no fast products":
        monkeypatch.setattr(int8, "multiplies_int8", lambda device: False)
    caplog.set_level(logging.INFO)
    used = encoder(checkpoints["bert"])
    automatic = used.replace(dtype="auto")
    assert torch.equal(used.encode(TEXTS), automatic.encode(TEXTS))
    assert used.fingerprint == automatic.fingerprint
    assert caplog.text.count("does not compute in int8") == 1
    assert reason in caplog.text


def test_the_speed_is_measured_and_the_products_are_in_place_behind_it(checkpoints):
    used = encoder(checkpoints["bert"], dtype="float32")
    used.load()
    use_int8(used.backbone, used.sampled)
    seen = []
    ratio = int8._times_as_fast(used.backbone, lambda: seen.append(used.compute(TEXTS)))
    assert ratio > 0
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[-1])
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(used.compute(TEXTS), seen[1])


def test_trained_weights_and_shared_models_have_products_of_their_own(checkpoints, is_faster):
    published = encoder(checkpoints["bert"])
    trainable = TrainableEncoder(published, Full())
    with torch.no_grad():
        for parameter in trainable.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.1)
    weights = trainable.trained_weights()
    alone = [published.encode(TEXTS), published.with_trained(weights).encode(TEXTS)]
    shared = SharedModel(published)
    first, second = shared.encoder(None), shared.encoder(weights)
    for _ in range(2):
        assert torch.equal(first.encode(TEXTS), alone[0])
        assert torch.equal(second.encode(TEXTS), alone[1])
    assert not torch.equal(*alone)


def test_updates_beside_the_weights_are_added_to_the_products(checkpoints, is_faster):
    published = encoder(checkpoints["bert"])
    weights = train(TrainableEncoder(published, LoRA())).trained_weights()
    beside = UnmergedModel(published).encoder(weights)
    assert beside.precision == torch.int8
    merged = published.with_trained(weights)
    assert beside.fingerprint != merged.fingerprint
    assert torch.cosine_similarity(beside.encode(TEXTS), merged.encode(TEXTS)).min() > 0.99
    assert torch.cosine_similarity(beside.encode(TEXTS), published.encode(TEXTS)).min() < 0.99


def test_another_name_is_refused():
    with pytest.raises(ConfigError, match="float16, int8"):
        TransformerEncoder("model", dtype="int4")
