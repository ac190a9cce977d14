"""DeepSeek and other checkpoints, each as a tiny random model of its architecture."""

import pytest
import torch

from fewshot.encoders import TransformerEncoder
from fewshot.encoders.pooling import POOLINGS
from fewshot.errors import ConfigError, EncoderError
from tests.tiny_models import ARCHITECTURES, DECODERS, DIM

TEXTS = ["heart attack", "acute pain in the chest and left arm", "tax", "fever and cough of a child without rash"]


@pytest.fixture
def build(checkpoints):
    def encoder(architecture, **settings):
        defaults = {"dtype": "float32", "cache": None}
        return TransformerEncoder(str(checkpoints[architecture]), **defaults | settings)

    return encoder


def hidden(encoder, ids, mask):
    with torch.no_grad():
        return encoder.module(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask)).last_hidden_state


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_features_do_not_depend_on_padding_or_batch(build, architecture, attention, pooling):
    encoder = build(architecture, attention=attention, pooling=pooling)
    together = encoder.encode(TEXTS)
    assert together.shape == (4, DIM)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(torch.cat([encoder.encode([text]) for text in TEXTS]), together, atol=2e-5, rtol=0)
    in_small_batches = encoder.replace(tokens_per_batch=9).encode(TEXTS[::-1]).flip(0)
    torch.testing.assert_close(in_small_batches, together, atol=2e-5, rtol=0)
    assert (together @ together.T - torch.eye(4)).max() < 0.999  # texts differ


@pytest.mark.parametrize("max_length", [64, None])  # eager attention, and the fused kernel
@pytest.mark.parametrize("mask", [[1, 1, 1, 1], [1, 1, 1, 1, 0]])
@pytest.mark.parametrize("architecture", DECODERS)
def test_a_later_token_reaches_an_earlier_one_in_bidirectional_attention_only(build, architecture, mask, max_length):
    for attention, reaches in (("causal", False), ("bidirectional", True)):
        encoder = build(architecture, attention=attention, max_length=max_length)
        one = hidden(encoder, [[5, 6, 7, 8, 0][: len(mask)]], [mask])
        two = hidden(encoder, [[5, 6, 7, 9, 0][: len(mask)]], [mask])
        change = (one - two)[0].abs().amax(1)
        assert (change[:3] > 1e-3).all() if reaches else (change[:3] < 1e-5).all()
        assert change[3] > 1e-3


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
@pytest.mark.parametrize("architecture", DECODERS)
def test_saved_and_loaded_again_gives_the_same_features(build, architecture, attention, tmp_path):
    encoder = build(architecture, attention=attention)
    features = encoder.encode(TEXTS)
    encoder.module.save_pretrained(tmp_path)
    encoder._tokenizer.save_pretrained(tmp_path)
    assert torch.equal(encoder.replace(model=str(tmp_path)).encode(TEXTS), features)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_second_derivative_exists(build, architecture):
    encoder = build(architecture)
    weight = next(
        p for name, p in encoder.backbone.named_parameters() if name.endswith(("o_proj.weight", "value.weight"))
    )
    output = encoder.embed(encoder.tokenize(TEXTS))[0, 0]
    (gradient,) = torch.autograd.grad(output, weight, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), weight)
    assert second.abs().sum() > 0


@pytest.mark.parametrize("architecture", ["llama", "deepseek_v2"])
def test_a_checkpoint_in_bfloat16_stays_in_it_and_is_pooled_in_32_bits(build, architecture, tmp_path, monkeypatch):
    monkeypatch.setattr("fewshot.encoders.precision._cpu_has_bfloat16", lambda: True)
    stored = build(architecture, dtype="bfloat16")
    stored.load().save_pretrained(tmp_path)
    stored._tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr("fewshot.encoders.measured.settle", lambda *_: pytest.fail("nothing to compare"))
    encoder = stored.replace(model=str(tmp_path), dtype="auto")
    features = encoder.encode(TEXTS)
    assert next(encoder.module.parameters()).dtype == torch.bfloat16
    assert features.dtype == torch.float32
    assert not torch.equal(features, features.bfloat16().float())  # more digits than bfloat16 has


def test_normalisation_can_be_left_out(build):
    plain = build("llama", normalize=False).encode(TEXTS)
    assert (plain.norm(dim=1) - 1).abs().max() > 0.1
    torch.testing.assert_close(torch.nn.functional.normalize(plain), build("llama").encode(TEXTS))


def test_the_tokenizer_is_the_one_in_the_folder(build):
    """A Qwen2 model with words as tokens: `AutoTokenizer` would split it into Qwen2's pieces."""
    assert build("qwen2").tokenize(["heart attack"])["input_ids"].tolist() == [[4, 5]]


def test_a_text_without_tokens_has_features(build):
    assert build("llama").encode(["", "heart"]).isfinite().all()


def test_no_limit_is_the_limit_of_the_model(build):
    assert build("llama", max_length=None).tokenize(["heart " * 100])["input_ids"].shape == (1, 64)
    assert build("llama", max_length=500).tokenize(["heart " * 100])["input_ids"].shape == (1, 64)
    assert build("llama", max_length=5).tokenize(["heart " * 100])["input_ids"].shape == (1, 5)


def test_the_fingerprint_follows_pooling_attention_normalisation_and_weights(build, checkpoints):
    fingerprints = {
        build("llama", **settings).fingerprint
        for settings in ({}, {"pooling": "last"}, {"attention": "bidirectional"}, {"normalize": False})
    }
    assert len(fingerprints | {build("qwen2").fingerprint}) == 5


@pytest.mark.parametrize(("setting", "value"), [("pooling", "max"), ("attention", "both")])
def test_unknown_words_are_refused_at_once(setting, value):
    with pytest.raises(ConfigError, match=rf"encoder\.{setting}={value}. Expected one of"):
        TransformerEncoder("x", **{setting: value})


@pytest.mark.parametrize("architecture", DECODERS)
def test_a_model_that_stays_causal_is_refused(build, architecture, monkeypatch):
    causal, config = build(architecture), TransformerEncoder._config
    monkeypatch.setattr(TransformerEncoder, "_config", lambda _, folder: config(causal, folder))
    with pytest.raises(EncoderError, match=r"stays causal.*Set encoder\.attention=causal"):
        build(architecture, attention="bidirectional").load()
