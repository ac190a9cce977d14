"""What every encoder promises, on the bundled MiniLM."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch

from fewshot.encoders import SentenceTransformerEncoder, encoder
from fewshot.encoders.source import bundled_folder
from fewshot.errors import ConfigError, EncoderError

TEXTS = ["heart attack", "tax form", "myocardial infarction", "heart attack", "a much longer text about a broken leg"]


@pytest.fixture(scope="module")
def minilm():
    return SentenceTransformerEncoder(cache=None, dtype="float32", shallow_layer=None)


def cached(folder, **settings):
    return SentenceTransformerEncoder(cache=folder, **{"dtype": "float32"} | settings)


def test_features_mean_something(minilm):
    heart, tax, infarction, *_ = minilm.encode(TEXTS)
    assert heart @ infarction > heart @ tax + 0.3


def test_features_equal_those_of_sentence_transformers(minilm):
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(bundled_folder()), device="cpu").encode(TEXTS, convert_to_tensor=True)
    torch.testing.assert_close(minilm.encode(TEXTS), theirs, atol=1e-5, rtol=0)


def test_order_and_repeats_are_kept_and_each_distinct_text_is_encoded_once(minilm):
    before = minilm.n_encoded
    features = minilm.encode(TEXTS)
    assert features.shape == (5, 384)
    assert features.dtype == torch.float32
    assert minilm.n_encoded - before == 4
    assert torch.equal(features[0], features[3])
    for text, row in zip(TEXTS, features, strict=True):
        torch.testing.assert_close(minilm.encode([text])[0], row, atol=1e-5, rtol=0)


def test_no_texts_give_no_rows_of_the_right_width(minilm):
    assert minilm.encode([]).shape == (0, 384)


def test_one_text_instead_of_a_list_is_refused(minilm):
    with pytest.raises(TypeError, match="list"):
        minilm.encode("heart attack")


def test_arrays_are_taken_like_lists_and_other_values_are_named(minilm):
    texts = ["heart attack", "bone"]
    for array in (np.array(texts), np.array(texts, dtype=object)):
        assert torch.equal(minilm.encode(array), minilm.encode(texts))
    assert minilm.encode(np.array([], dtype=str)).shape == (0, 384)
    for other in (None, float("nan"), 3, b"bone"):
        with pytest.raises(TypeError, match=rf"number 1 is {other!r}, a {type(other).__name__}"):
            minilm.encode(np.array(["heart", other], dtype=object))


def test_odd_texts_have_finite_features(minilm):
    assert minilm.encode(["", " ", "\ud800 half a pair", "心筋梗塞", "\x00"]).isfinite().all()


def test_a_warm_run_encodes_nothing_and_loads_nothing(tmp_path):
    cold = cached(tmp_path)
    first = cold.encode(TEXTS)
    assert cold.n_encoded == 4
    script = (
        "import sys, torch; from fewshot.encoders import SentenceTransformerEncoder\n"
        f"e = SentenceTransformerEncoder(cache={str(tmp_path)!r}, dtype='float32')\n"
        f"print(e.n_encoded, e.encode({TEXTS!r}).double().sum().item(), e.n_encoded)\n"
        "print([m for m in ('transformers', 'sentence_transformers') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, total, after, modules = result.stdout.split(maxsplit=3)
    assert (before, after, modules.strip()) == ("0", "0", "[]")
    assert float(total) == first.double().sum().item()


def test_only_new_texts_are_encoded(tmp_path):
    cached(tmp_path).encode(TEXTS[:2])
    second = cached(tmp_path)
    features = second.encode(TEXTS)
    assert second.n_encoded == 2
    torch.testing.assert_close(features, cached(None).encode(TEXTS), atol=1e-5, rtol=0)


def test_what_was_done_before_an_interruption_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "CHUNK", 2)
    interrupted = cached(tmp_path)
    compute = interrupted.compute
    monkeypatch.setattr(
        interrupted, "compute", lambda texts, advance: compute(texts, advance) if TEXTS[0] in texts else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        interrupted.encode(TEXTS)
    again = cached(tmp_path)
    again.encode(TEXTS)
    assert again.n_encoded == 2


def test_without_a_cache_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path))
    cached(None).encode(TEXTS[:1])
    assert not list(tmp_path.iterdir())
    cached("auto").encode(TEXTS[:1])
    assert list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({}, True),
        ({"tokens_per_batch": 7}, True),
        ({"shallow_layer": 3}, True),
        ({"shallow_layer": None}, False),
        ({"max_length": 8}, False),
        ({"dtype": "bfloat16"}, False),
        ({"model": str(bundled_folder())}, False),
    ],
)
def test_the_fingerprint_changes_with_what_changes_the_features(settings, same):
    own = cached(None).fingerprint
    assert len(own) == 16
    assert int(own, 16)
    assert (cached(None, **settings).fingerprint == own) == same


def test_replace_changes_only_the_given_settings(minilm):
    other = minilm.replace(max_length=8)
    assert (other.max_length, other.dtype, other.cache) == (8, "float32", None)
    assert minilm.max_length == 256


def test_long_texts_are_cut_counted_and_reported_once(caplog):
    short = cached(None, max_length=8)
    long = "one two three four five six seven eight nine"
    fits = "one two three four five six"  # 6 words and two special tokens
    features = short.encode([long, long + " ten", fits])
    short.encode([long + " eleven"])
    assert short.n_truncated == 3
    assert [record.levelno for record in caplog.records if record.name.startswith("fewshot")] == [logging.WARNING]
    assert "2 of 3 texts" in caplog.text
    assert "encoder.max_length" in caplog.text
    torch.testing.assert_close(features[0], features[2], atol=1e-5, rtol=0)
    assert short.tokenize([long])["input_ids"].shape == (1, 8)


def test_tokenize_pads_on_the_right_and_embed_has_gradients(minilm):
    batch = minilm.tokenize(["heart attack", "heart"])
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    features = minilm.embed(batch)
    torch.testing.assert_close(features.detach(), minilm.encode(["heart attack", "heart"]), atol=1e-5, rtol=0)
    features[0, 0].backward()
    weight = next(minilm.backbone.parameters())
    assert weight.grad.abs().sum() > 0
    minilm.module.zero_grad()


def test_a_second_derivative_exists(minilm):
    weight = next(minilm.backbone.parameters())
    first = minilm.embed(minilm.tokenize(["heart attack"]))[0, 0]
    (gradient,) = torch.autograd.grad(first, weight, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), weight)
    assert second.abs().sum() > 0


@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_weights_that_are_loaded_in_inference_mode_can_be_trained(dtype, monkeypatch):
    monkeypatch.setattr("fewshot.encoders.precision._cpu_has_bfloat16", lambda: True)
    encoder = cached(None, dtype=dtype)
    with torch.inference_mode():
        encoder.encode(["heart attack"])
    encoder.embed(encoder.tokenize(["heart attack"])).sum().backward()
    assert next(encoder.backbone.parameters()).grad.abs().sum() > 0


def test_compute_answers_for_the_module_as_it_is_and_leaves_its_mode():
    trained = cached(None)
    published = trained.encode(TEXTS)
    with torch.no_grad():
        for parameter in trained.backbone.parameters():
            parameter.mul_(1.1)
    trained.module.train()
    one, two = trained.compute(TEXTS), trained.compute(TEXTS)
    assert trained.module.training
    assert torch.equal(one, two)  # no dropout
    assert not torch.allclose(one, published, atol=1e-3)


def test_features_that_are_no_numbers_are_an_error_that_names_the_text(tmp_path):
    broken = cached(tmp_path)
    with torch.no_grad():
        next(broken.backbone.parameters())[broken.tokenize(["tax"])["input_ids"][0, 1]] = float("nan")
    with pytest.raises(EncoderError, match=r"'tax form'.*Set encoder.dtype=float32"):
        broken.encode(["heart attack", "tax form"])
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("max_length", 0), ("tokens_per_batch", -1), ("dtype", "int4"), ("device", "toaster")],
)
def test_settings_that_cannot_be_are_refused_at_once(setting, value):
    with pytest.raises(ConfigError, match=rf"encoder\.{setting}='?{value}'?(, e|\. E)xpected"):
        SentenceTransformerEncoder(**{setting: value})


def test_a_gpu_that_is_not_there_is_a_config_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="sees no GPU"):
        SentenceTransformerEncoder(device="cuda:0")
    assert SentenceTransformerEncoder(device="auto")._device.type == "cpu"
