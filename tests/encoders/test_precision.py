import logging

import pytest
import torch

from fewshot.encoders import SentenceTransformerEncoder, precision
from fewshot.encoders.precision import resolve_device
from fewshot.errors import ConfigError
from tests.tiny_models import WORDS

CPU = torch.device("cpu")
TEXTS = [f"{one} {two}" for one in WORDS[:20] for two in WORDS[20:25]]


@pytest.fixture
def has_bfloat16(monkeypatch):
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)


def linear():
    torch.manual_seed(0)
    return torch.nn.Linear(16, 16)


def test_auto_follows_the_hardware(monkeypatch):
    for has, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda has=has: has)
        assert precision.resolve_dtype("auto", CPU) == expected
        assert precision.resolve_dtype("float16", CPU) == torch.float16
        assert precision.resolve_dtype("auto", torch.device("mps")) == torch.float32


@pytest.mark.parametrize(("flags", "expected"), [("avx512f avx512_bf16", True), ("avx2", False), (None, False)])
def test_an_older_torch_is_asked_through_cpuinfo(monkeypatch, tmp_path, flags, expected):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    assert precision._cpu_has_bfloat16(tmp_path / "cpuinfo") is expected


def test_weights_are_cast_where_the_features_stay_the_same():
    module, texts = linear(), torch.randn(64, 16)
    module.register_buffer("frequencies", torch.ones(3))
    used = precision.settle(module, torch.bfloat16, lambda: module(texts.to(module.weight.dtype)).float())
    assert used == module.weight.dtype == module.bias.dtype == torch.bfloat16
    assert module.frequencies.dtype == torch.float32


@pytest.mark.parametrize("spoiled", [lambda x: x.flip(1), lambda x: x * float("nan")])
def test_weights_are_as_they_were_where_it_would_change_the_features(spoiled, caplog):
    caplog.set_level(logging.INFO)
    module, texts = linear(), torch.randn(64, 16)
    before = module.weight.detach().clone()

    def features():
        rows = module(texts.to(module.weight.dtype)).float()
        return rows if module.weight.dtype == torch.float32 else torch.cat([rows[:-1], spoiled(rows[-1:])])

    assert precision.settle(module, torch.bfloat16, features) == torch.float32
    assert torch.equal(module.weight, before)
    assert "Set encoder.dtype=bfloat16" in caplog.text


def test_minilm_in_bfloat16_is_close_to_float32(has_bfloat16):
    automatic = SentenceTransformerEncoder(cache=None)
    features = automatic.encode(TEXTS)
    exact = SentenceTransformerEncoder(cache=None, dtype="float32").encode(TEXTS)
    assert next(automatic.backbone.parameters()).dtype == torch.bfloat16
    cosines = torch.cosine_similarity(features, exact)
    assert cosines.min() > 0.9995
    assert not torch.equal(features, exact)


def test_an_encoder_falls_back_to_float32(has_bfloat16, monkeypatch):
    monkeypatch.setattr(precision, "MIN_COSINE", 1.1)
    monkeypatch.setattr(precision, "_CHOSEN", {})
    automatic = SentenceTransformerEncoder(cache=None)
    exact = SentenceTransformerEncoder(cache=None, dtype="float32").encode(TEXTS)
    assert torch.equal(automatic.encode(TEXTS), exact)


def test_the_fingerprint_names_the_precision_that_is_used(has_bfloat16, monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_CHOSEN", {})
    fast = SentenceTransformerEncoder(cache=str(tmp_path / "fast"))
    fast.encode(TEXTS)
    assert fast.precision == torch.bfloat16

    monkeypatch.setattr(precision, "_CHOSEN", {})
    monkeypatch.setattr(precision, "MIN_COSINE", 1.1)
    exact = SentenceTransformerEncoder(cache=str(tmp_path / "exact"))
    exact.encode(TEXTS)
    assert exact.precision == torch.float32
    assert exact.fingerprint != fast.fingerprint

    monkeypatch.setattr(precision, "_CHOSEN", {})  # as in a new process
    monkeypatch.setattr(SentenceTransformerEncoder, "_load", None)
    again = SentenceTransformerEncoder(cache=str(tmp_path / "exact"))
    assert torch.equal(again.encode(TEXTS), exact.encode(TEXTS))
    assert again.fingerprint == exact.fingerprint


def test_later_modules_keep_their_exact_weights(dense_model):
    half = SentenceTransformerEncoder(str(dense_model), cache=None, dtype="bfloat16")
    full = SentenceTransformerEncoder(str(dense_model), cache=None, dtype="float32")
    assert next(half.backbone.parameters()).dtype == torch.bfloat16
    assert half.module[2].linear.weight.dtype == torch.float32
    assert torch.equal(half.module[2].linear.weight, full.module[2].linear.weight)
    assert half.encode(TEXTS).shape == (100, 8)
    assert torch.cosine_similarity(half.encode(TEXTS), full.encode(TEXTS)).min() > 0.99


def test_auto_is_the_gpu_that_there_is(monkeypatch):
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert resolve_device("auto").type == expected
    with pytest.raises(ConfigError, match=r"Got encoder.device='mps', but PyTorch sees no GPU"):
        resolve_device("mps")
