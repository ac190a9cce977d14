"""Weights in 4 bits: refused without a GPU, and the arguments of the libraries that read the weights."""

import pytest
import torch

from fewshot.encoders import Full, SentenceTransformerEncoder, TrainableEncoder
from fewshot.encoders.loading import check_quantisable, is_quantised, loading_arguments
from fewshot.errors import ConfigError
from tests.encoders.conftest import save_variant
from tests.encoders.test_trainable import KINDS, TEXTS, build, train


def test_on_a_cpu_it_is_one_sentence():
    with pytest.raises(
        ConfigError, match=r"quantise=4bit, but this encoder runs on the CPU.*Set encoder\.quantise=null"
    ):
        SentenceTransformerEncoder(quantise="4bit", device="cpu")


def test_without_bitsandbytes_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("fewshot.encoders.loading.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"bitsandbytes is not installed.*pip install bitsandbytes"):
        check_quantisable(torch.device("cuda"))


def test_where_both_are_there_nothing_is_said(monkeypatch):
    monkeypatch.setattr("fewshot.encoders.loading.find_spec", lambda name: object())
    check_quantisable(torch.device("cuda"))


def test_packed_weights_are_not_trained_in_full(checkpoints, monkeypatch):
    monkeypatch.setattr("fewshot.encoders.encoder.check_quantisable", lambda device: None)
    with pytest.raises(ConfigError, match="weights in 4 bits cannot be trained"):
        TrainableEncoder(build(checkpoints["llama"], quantise="4bit"), Full())


def test_transformers_is_told_of_normal_floats_quantised_twice():
    arguments = loading_arguments("4bit", torch.device("cpu"))
    config = arguments["quantization_config"]
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (True, "nf4", True)
    assert arguments["device_map"] == {"": "cpu"}
    assert loading_arguments(None, torch.device("cpu")) == {}


def test_it_has_a_part_in_the_fingerprint_only_where_it_is_used(checkpoints, monkeypatch):
    monkeypatch.setattr("fewshot.encoders.encoder.check_quantisable", lambda device: None)
    plain = build(checkpoints["llama"])
    assert "quantise" not in plain._settings()
    assert plain.replace(quantise="4bit").fingerprint != plain.fingerprint


@pytest.mark.parametrize("kind", ["lora", "adapter"])
@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_small_parts_beside_packed_weights_are_trained_and_read_again(
    checkpoints, tmp_path, monkeypatch, architecture, kind
):
    wide = save_variant(checkpoints[architecture], tmp_path / "wide", hidden_size=64, intermediate_size=128)
    pytest.importorskip("bitsandbytes")
    monkeypatch.setattr(
        "bitsandbytes.nn.modules.has_avx512bf16", lambda: False
    )  # its way of packing for CPUs is not ours
    monkeypatch.setattr("fewshot.encoders.encoder.check_quantisable", lambda device: None)
    encoder = build(wide, quantise="4bit", device="cpu")
    assert is_quantised(encoder.module)
    published = encoder.encode(TEXTS)
    assert torch.cosine_similarity(published, build(wide).encode(TEXTS)).min() > 0.8
    trainable = TrainableEncoder(encoder, KINDS[kind]())
    torch.testing.assert_close(trainable.compute(TEXTS), published, atol=1e-5, rtol=0)
    end = train(trainable).compute(TEXTS)
    assert not torch.allclose(end, published, atol=1e-3)
    torch.testing.assert_close(trainable.merged().encode(TEXTS), end, atol=1e-5, rtol=0)
    trainable.save(tmp_path / "small")
    loaded = build(wide, weights=tmp_path / "small", quantise="4bit", device="cpu")
    assert torch.equal(loaded.encode(TEXTS), trainable.merged().encode(TEXTS))
