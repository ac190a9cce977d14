"""Updates beside the weights: what merged weights give, for each text of a batch its own, over one loaded module."""

import threading
from dataclasses import replace

import pytest
import torch

from fewshot.encoders import Adapter, Full, LoRA, SentenceTransformerEncoder, TrainableEncoder
from fewshot.encoders.low_rank import Update, beside
from fewshot.encoders.unmerged import UnmergedModel
from fewshot.errors import ConfigError, EncoderError
from tests.encoders.test_trainable import TEXTS, build, train

ARCHITECTURES = ["bert", "mpnet", "qwen2", "deepseek_v2", "deepseek_v3"]


def trained(encoder, *trainables):
    return [train(TrainableEncoder(encoder, trainable)).trained_weights() for trainable in trainables]


def close(found, expected, apart=2e-5):
    assert torch.cosine_similarity(found, expected).min().item() > 0.9999
    torch.testing.assert_close(found, expected, atol=apart, rtol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_gives_what_merged_weights_give_at_each_strength(checkpoints, architecture):
    encoder = build(checkpoints[architecture], shallow_layer=1)
    published = encoder.encode(TEXTS)
    (weights,) = trained(encoder, LoRA(rank_stabilised=True, alpha=4.0))
    model = UnmergedModel(encoder)
    features = []
    for strength in (0.25, 0.5, 1.0):
        scaled = weights.at_strength(strength)
        features.append(model.encoder(scaled).encode(TEXTS))
        close(features[-1], encoder.with_trained(scaled).encode(TEXTS))
        assert not torch.allclose(features[-1], published, atol=1e-4)
    assert not torch.allclose(features[0], features[1], atol=1e-4)
    assert torch.equal(encoder.encode(TEXTS), published)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_text_of_a_batch_has_its_own_or_none(checkpoints, architecture):
    encoder = build(checkpoints[architecture], shallow_layer=1)
    targets = None if architecture in ("bert", "mpnet") else ["o_proj"]
    wide, narrow = trained(encoder, LoRA(rank=3), LoRA(rank=2, layers="layered", targets=targets))
    model = UnmergedModel(encoder)
    views = [model.encoder(wide), model.encoder(narrow), model.encoder(wide.at_strength(0.25)), encoder]
    expected = torch.stack([view.encode([text])[0] for view in views for text in TEXTS])
    passes = []
    module = encoder.module
    handle = module.register_forward_hook(lambda *given: passes.append(given))
    found = model.encode([text for _ in views for text in TEXTS], [view for view in views for _ in TEXTS])
    handle.remove()
    close(found, expected)
    assert len(passes) == 1


def test_the_weights_are_held_once_however_many_there_are(checkpoints, monkeypatch):
    encoder = build(checkpoints["bert"])
    adapters = trained(encoder, *[LoRA()] * 3)
    loads, load = [], type(encoder)._load
    monkeypatch.setattr(type(encoder), "_load", lambda *given: loads.append(given) or load(*given))
    model = UnmergedModel(encoder)
    views = [model.encoder(weights.at_strength(strength)) for weights in adapters for strength in (0.5, 1.0)]
    model.encode(TEXTS[:1] * 6, views)
    parameters = [parameter for view in (encoder, *views) for parameter in view.module.parameters()]
    held = {parameter.untyped_storage().data_ptr(): parameter.numel() for parameter in parameters}
    assert sum(held.values()) == sum(parameter.numel() for parameter in build(checkpoints["bert"]).module.parameters())
    beside_them = {
        tensor.untyped_storage().data_ptr()
        for view in views
        for pair in view._update[0].matrices.values()
        for tensor in pair
    }
    own = {tensor.untyped_storage().data_ptr() for weights in adapters for tensor in weights.tensors.values()}
    assert beside_them == own  # not even those are copied
    assert len(loads) == 2  # of the bank, and of the count


def test_in_16_bits_they_are_as_close_as_16_bits_allow(monkeypatch):
    monkeypatch.setattr("fewshot.encoders.precision._cpu_has_bfloat16", lambda: True)
    encoder = SentenceTransformerEncoder(cache=None, max_length=32)
    (weights,) = trained(encoder, LoRA())
    model = UnmergedModel(encoder)
    view = model.encoder(weights.at_strength(0.5))
    exact = encoder.replace(dtype="float32").with_trained(weights.at_strength(0.5)).encode(TEXTS)
    merged = encoder.with_trained(weights.at_strength(0.5)).encode(TEXTS)
    assert view.precision == torch.bfloat16
    found = torch.cosine_similarity(view.encode(TEXTS), exact).min().item()
    assert found > 0.999
    assert found > torch.cosine_similarity(merged, exact).min().item() - 5e-4
    assert {parameter.dtype for parameter in view.backbone.parameters()} == {torch.bfloat16}


def test_it_has_a_fingerprint_and_a_cache_of_its_own_and_is_merged_where_it_is_copied(checkpoints, tmp_path):
    encoder = build(checkpoints["bert"], cache=tmp_path)
    (weights,) = trained(encoder, LoRA())
    model = UnmergedModel(encoder)
    view, half, merged = model.encoder(weights), model.encoder(weights.at_strength(0.5)), encoder.with_trained(weights)
    assert len({one.fingerprint for one in (encoder, view, half, merged)}) == 4
    assert view.fingerprint == UnmergedModel(build(checkpoints["bert"])).encoder(weights).fingerprint
    assert view.portable_fingerprint == merged.portable_fingerprint
    assert view.replace().fingerprint == merged.fingerprint
    assert view.reading("chunk").fingerprint not in (view.fingerprint, merged.reading("chunk").fingerprint)
    first = model.encode([*TEXTS, *TEXTS, TEXTS[0]], [view] * 4 + [encoder] * 4 + [view])
    assert (view.n_encoded, encoder.n_encoded) == (4, 4)
    assert torch.equal(first[8], first[0])
    again = UnmergedModel(build(checkpoints["bert"], cache=tmp_path))
    other = again.encoder(weights)
    found = again.encode([*TEXTS, "one more"], [other] * 5)
    assert torch.equal(found[:4], first[:4])
    assert other.n_encoded == 1
    assert torch.equal(other.encode(TEXTS), first[:4])


def test_long_texts_are_read_in_pieces_by_each(checkpoints):
    encoder = build(checkpoints["bert"], max_length=6, long_texts="chunk")
    (weights,) = trained(encoder, LoRA())
    model = UnmergedModel(encoder)
    long = " ".join(TEXTS)
    found = model.encode([long, "tax", long], [model.encoder(weights), model.encoder(weights), encoder])
    merged = encoder.with_trained(weights)
    close(found, torch.cat([merged.encode([long, "tax"]), encoder.encode([long])]))
    assert model.encode([], []).shape == (0, found.shape[1])


def test_gradients_reach_the_inputs_through_an_update(checkpoints):
    encoder = build(checkpoints["bert"])
    (weights,) = trained(encoder, LoRA())
    update = Update.of(weights, encoder.load().requires_grad_(False))
    for down, up in update.matrices.values():
        down.requires_grad_(), up.requires_grad_()
    batch = encoder.tokenize(TEXTS)
    encoder.embed(batch, [(update, 2.0), None, (update, 1.0), None]).sum().backward()
    assert all(tensor.grad.any() for pair in update.matrices.values() for tensor in pair)


@pytest.mark.parametrize("trainable", [LoRA(dora=True), Adapter(), Full()], ids=["dora", "adapter", "full"])
def test_what_has_to_be_merged_is_refused(checkpoints, trainable):
    encoder = build(checkpoints["bert"])
    (weights,) = trained(encoder, trainable)
    with pytest.raises(ConfigError, match=r"cannot stay beside those of other trainings.*Use AdapterSwitch"):
        UnmergedModel(encoder).encoder(weights)


def test_what_was_trained_further_or_for_another_model_or_does_not_fit_is_refused(checkpoints):
    encoder = build(checkpoints["bert"])
    (weights,) = trained(encoder, LoRA())
    (further,) = trained(encoder.with_trained(weights), LoRA())
    with pytest.raises(ConfigError, match="trained from the published weights"):
        UnmergedModel(encoder).encoder(further)
    with pytest.raises(ConfigError, match=r"expected the published weights.*Set encoder\.weights=null"):
        UnmergedModel(encoder.with_trained(weights))
    with pytest.raises(EncoderError, match="belong to"):
        UnmergedModel(build(checkpoints["qwen2"])).encoder(weights)
    name, tensor = next(iter(weights.tensors.items()))
    model = UnmergedModel(encoder)
    broken = model.encoder(replace(weights, tensors={**weights.tensors, name: tensor[:2]}))
    with pytest.raises(EncoderError, match=r"do not fit.*of shape \(2, 32\), expected \(8, 32\)"):
        broken.encode(TEXTS)
    close(model.encoder(weights).encode(TEXTS), encoder.with_trained(weights).encode(TEXTS))


def test_rows_that_are_not_texts_are_no_batch_of_several():
    linear = torch.nn.Linear(4, 3)
    first, second = (Update({linear: (torch.ones(2, 4), torch.ones(2, 3))}, 2) for _ in range(2))
    tokens = torch.ones(5, 4)
    with beside([(first, 1.0)]):
        torch.testing.assert_close(linear(tokens), torch.nn.functional.linear(tokens, linear.weight, linear.bias) + 8)
    with beside([(first, 1.0), (second, 1.0)]), pytest.raises(EncoderError, match="5 rows for 2 texts"):
        linear(tokens)
    assert torch.equal(linear(tokens), torch.nn.functional.linear(tokens, linear.weight, linear.bias))


def test_a_pass_of_another_thread_is_left_alone_and_nothing_stays_on_the_module():
    linear, given = torch.nn.Linear(4, 3), torch.ones(5, 4)
    plain, others = linear(given), []
    with beside([(Update({linear: (torch.ones(2, 4), torch.ones(2, 3))}, 2), 1.0)]):
        thread = threading.Thread(target=lambda: others.append(linear(given)))
        thread.start()
        thread.join()
        assert not torch.equal(linear(given), plain)
    assert torch.equal(others[0], plain)
    assert not linear._forward_hooks
