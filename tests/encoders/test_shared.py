"""One loaded model for several trained encoders: each gives what it gives alone, in whatever order they are asked."""

from dataclasses import replace

import pytest
import torch

from fewshot.encoders import Adapter, Full, LoRA, SentenceTransformerEncoder, TrainableEncoder
from fewshot.encoders.shared import SharedModel
from fewshot.errors import ConfigError, EncoderError
from tests.encoders.test_trainable import TEXTS, build, train

TRAINABLES = {"lora": LoRA(), "adapter": Adapter(), "full": Full(), "dora": LoRA(dora=True, rank=3)}


def trained_encoders(folder, **more):
    return {
        name: train(TrainableEncoder(build(folder, **more), trainable)).merged()
        for name, trainable in TRAINABLES.items()
    }


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "qwen2", "deepseek_v2", "deepseek_v3"])
def test_each_gives_what_it_gives_alone_in_any_order(checkpoints, architecture, monkeypatch):
    encoder = build(checkpoints[architecture], shallow_layer=1)
    alone = trained_encoders(checkpoints[architecture], shallow_layer=1) | {"published": encoder}
    expected = {name: one.encode(TEXTS) for name, one in alone.items()}
    shared = SharedModel(encoder)
    loads, load = [], type(encoder)._load
    monkeypatch.setattr(type(encoder), "_load", lambda *given: loads.append(given) or load(*given))
    views = {name: shared.encoder(one.trained) for name, one in alone.items()}
    for name in (
        "lora",
        "full",
        "lora",
        "adapter",
        "dora",
        "published",
        "adapter",
        "full",
        "dora",
        "lora",
        "published",
    ):
        assert torch.equal(views[name].encode(TEXTS), expected[name]), name
        assert views[name].fingerprint == alone[name].fingerprint
        assert views[name].module is shared.encoder(None).module
    assert len({one.fingerprint for one in views.values()}) == len(views)
    assert len(loads) == 1


@pytest.mark.slow
def test_in_16_bits_too(monkeypatch):
    monkeypatch.setattr("fewshot.encoders.precision._cpu_has_bfloat16", lambda: True)
    encoder = SentenceTransformerEncoder(cache=None, max_length=32)
    tuned = train(TrainableEncoder(encoder, LoRA())).merged()
    shared = SharedModel(encoder)
    views = [shared.encoder(None), shared.encoder(tuned.trained)]
    expected = [encoder.encode(TEXTS), tuned.encode(TEXTS)]
    for _ in range(2):
        for view, features in zip(views, expected, strict=True):
            assert torch.equal(view.encode(TEXTS), features)
            assert {parameter.dtype for parameter in view.backbone.parameters()} == {torch.bfloat16}


def test_weights_that_do_not_fit_leave_the_others_usable(checkpoints):
    shared = SharedModel(build(checkpoints["bert"]))
    lora = train(TrainableEncoder(build(checkpoints["bert"]), LoRA())).merged()
    view = shared.encoder(lora.trained)
    features = view.encode(TEXTS)
    name, tensor = next(iter(lora.trained.tensors.items()))
    others = {key: value for key, value in lora.trained.tensors.items() if key != name}
    for tensors, said in ((others, "none"), (others | {name: tensor[:2]}, r"\(2, 32\)")):
        broken = replace(lora.trained, tensors=tensors)
        with pytest.raises(EncoderError, match=rf"do not fit.*of shape {said}, expected \(8, 32\)"):
            shared.encoder(broken).encode(TEXTS)
        assert torch.equal(view.encode(TEXTS), features)


def test_weights_of_another_model_are_refused(checkpoints):
    other = train(TrainableEncoder(build(checkpoints["qwen2"]), LoRA())).merged()
    with pytest.raises(EncoderError, match=r"belong to '.*qwen2'"):
        SharedModel(build(checkpoints["bert"])).encoder(other.trained)


def test_weights_in_4_bits_are_refused(checkpoints, monkeypatch):
    monkeypatch.setattr("fewshot.encoders.encoder.check_quantisable", lambda device: None)
    with pytest.raises(ConfigError, match=r"quantise=4bit for a model whose weights are exchanged"):
        SharedModel(build(checkpoints["llama"], quantise="4bit"))
