"""An encoder while it is trained, on tiny models of every architecture."""

import pytest
import torch

from fewshot.encoders import Adapter, Full, LoRA, SentenceTransformerEncoder, TrainableEncoder, TransformerEncoder
from fewshot.encoders.layers import find_stack
from fewshot.errors import ConfigError, EncoderError
from fewshot.randomness import child_generator
from tests.encoders.conftest import DEEP
from tests.tiny_models import ARCHITECTURES

KNOWN = (*ARCHITECTURES, "mpnet")
KINDS = {"lora": LoRA, "adapter": Adapter, "full": Full}
LAYERS = [("bert", "all"), *((architecture, "layered") for architecture in KNOWN)]
TEXTS = ["heart attack", "acute pain in the chest and left arm", "tax form", "fever and cough of a child without rash"]


def build(folder, **settings):
    return TransformerEncoder(str(folder), **{"dtype": "float32", "cache": None} | settings)


def state_of(trainable):
    """Copies of what is trained."""
    return {name: p.detach().clone() for name, p in trainable.module.named_parameters() if p.requires_grad}


def train(trainable, steps=3, rate=0.05):
    """A few steps that move the features a long way."""
    optimiser = torch.optim.SGD([p for p in trainable.parameters() if p.requires_grad], lr=rate)
    batch = trainable.tokenize(TEXTS)
    for _ in range(steps):
        features = trainable(batch)
        (features @ features[0].detach().roll(1)).sum().neg().backward()
        optimiser.step()
        optimiser.zero_grad()
    return trainable


@pytest.fixture
def trained(checkpoints):
    def make(kind="lora", architecture="bert", **settings):
        how = KINDS[kind](
            **({"encoder_dropout": settings.pop("encoder_dropout")} if "encoder_dropout" in settings else {})
        )
        return train(TrainableEncoder(build(checkpoints[architecture], **settings), how))

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("architecture", "layers"), LAYERS)
def test_it_starts_as_published_and_each_trained_parameter_has_a_gradient(deep_checkpoints, architecture, kind, layers):
    encoder = build(deep_checkpoints[architecture], shallow_layer=9)
    trainable = TrainableEncoder(encoder, KINDS[kind](layers=layers)).train()
    assert torch.equal(trainable.compute(TEXTS), encoder.encode(TEXTS))
    features = trainable(trainable.tokenize(TEXTS))
    (features * torch.randn(features.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    for name, parameter in trainable.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert 0 < trainable.trainable_share.trained < trainable.trainable_share.total


@pytest.mark.parametrize(("kind", "part"), [("lora", "lora_"), ("adapter", "bottleneck.")])
@pytest.mark.parametrize(("architecture", "layers"), LAYERS)
def test_small_parts_are_in_every_layer_that_is_not_frozen_and_nowhere_else(
    deep_checkpoints, architecture, layers, kind, part
):
    trainable = TrainableEncoder(build(deep_checkpoints[architecture]), KINDS[kind](layers=layers))
    stack = find_stack(trainable.backbone)
    names = [name for name, parameter in trainable.backbone.named_parameters() if parameter.requires_grad]
    assert all(f".{part}" in name for name in names)
    assert {stack.index(name) for name in names} == set(range(7 if layers == "layered" else 0, DEEP))


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("bert", {"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"}
                 | {"intermediate.dense", "output.dense"}),
        ("mpnet", {f"attention.attn.{name}" for name in "qkvo"} | {"intermediate.dense", "output.dense"}),
        ("qwen2", {"self_attn.q_proj", "self_attn.v_proj"}),
        ("llama", {"self_attn.q_proj", "self_attn.v_proj"}),
        ("deepseek_v2", {f"self_attn.{name}" for name in ("q_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj")}),
        ("deepseek_v3", {f"self_attn.{name}" for name in ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj")}
                        | {"self_attn.o_proj"}),
    ],
)  # fmt: skip
def test_each_family_has_its_own_targets(checkpoints, architecture, expected):
    trainable = TrainableEncoder(build(checkpoints[architecture]), LoRA())
    (first, *_) = find_stack(trainable.backbone).layers
    assert {name.partition(".lora_A")[0] for name, _ in first.named_parameters() if ".lora_A" in name} == expected


def test_targets_can_be_chosen_by_the_end_of_their_path(checkpoints):
    trainable = TrainableEncoder(build(checkpoints["bert"]), LoRA(targets=["attention.output.dense"], rank=3))
    shapes = {name: tuple(p.shape) for name, p in trainable.named_parameters() if p.requires_grad}
    assert set(shapes.values()) == {(3, 32), (32, 3)}
    assert len(shapes) == 4
    assert all(".attention.output.dense.lora_" in name for name in shapes)


def test_targets_that_are_not_there_are_refused(checkpoints):
    with pytest.raises(ConfigError, match=r"Got 'wquery' in trainable\.targets.*dense, key, query, value"):
        TrainableEncoder(build(checkpoints["bert"]), LoRA(targets=["query", "wquery"]))


def test_experts_are_refused_in_one_sentence(checkpoints):
    with pytest.raises(ConfigError, match=r"Got 'gate_proj'.*names the experts.*Expected maps of the attention"):
        TrainableEncoder(build(checkpoints["deepseek_v2"]), LoRA(targets=["gate_proj"]))
    TrainableEncoder(build(checkpoints["llama"]), LoRA(targets=["gate_proj"]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_layers_cannot_be_trained(kind, tmp_path, checkpoints):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    words = Tokenizer.from_file(str(checkpoints["bert"] / "tokenizer.json"))
    model = SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=8)], device="cpu")
    model.save(str(tmp_path), create_model_card=False)
    with pytest.raises(EncoderError, match=r"no transformer layers|no stack of transformer layers"):
        TrainableEncoder(SentenceTransformerEncoder(str(tmp_path), cache=None), KINDS[kind]())


def test_minilm_counted_by_hand():
    share = TrainableEncoder(SentenceTransformerEncoder(cache=None), LoRA(rank=4)).trainable_share
    assert share.trained == 6 * 4 * (4 * (384 + 384) + 2 * (384 + 1536))
    assert share.total == 22_713_216 + share.trained
    assert str(share) == "165,888 of 22,879,104 parameters are trained (0.7 %)"


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_on_top_is_trained_in_full_fine_tuning_only(dense_model, kind):
    trainable = TrainableEncoder(SentenceTransformerEncoder(str(dense_model), cache=None), KINDS[kind]())
    assert trainable.module[2].linear.weight.requires_grad == (kind == "full")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", [True, False])
def test_the_shallow_layer_follows_training_and_has_gradients(trained, kind, mode):
    trainable = trained(kind, shallow_layer=1, shallow_weight=2.0, encoder_dropout=0.0).train(mode)
    batch = trainable.tokenize(TEXTS[:1])
    features = trainable(batch)
    hidden = trainable.backbone(**batch, output_hidden_states=True).hidden_states[1][0].mean(0)
    torch.testing.assert_close(features[0, 32:], 2 * hidden / hidden.norm() / 5**0.5, atol=1e-5, rtol=0)
    features[:, 32:].square().mul(torch.arange(32)).sum().backward()
    stack = find_stack(trainable.backbone)
    reached = {stack.index(n) for n, p in trainable.backbone.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {0}


def test_lower_layers_take_smaller_steps_and_biases_are_not_decayed(deep_checkpoints):
    trainable = TrainableEncoder(build(deep_checkpoints["llama"]), Full())
    groups = trainable.parameter_groups(0.1, decay=0.5, weight_decay=0.01)
    grouped = {id(p): group for group in groups for p in group["params"]}
    trained = [p for p in trainable.parameters() if p.requires_grad]
    assert sum(len(group["params"]) for group in groups) == len(trained) == len(grouped)
    layers = find_stack(trainable.backbone).layers
    for index, layer in enumerate(layers):
        for parameter in layer.parameters():
            group = grouped[id(parameter)]
            assert group["lr"] == pytest.approx(0.1 * 0.5 ** (DEEP - 1 - index))
            assert group["weight_decay"] == (0.01 if parameter.ndim == 2 else 0.0)
    assert grouped[id(trainable.backbone.norm.weight)]["lr"] == 0.1
    assert [group["lr"] for group in groups] == sorted((group["lr"] for group in groups), reverse=True)
    torch.optim.AdamW(groups)


def test_without_decay_all_take_the_same_steps(trained):
    groups = trained().parameter_groups(0.1, weight_decay=0.01)
    assert {group["lr"] for group in groups} == {0.1}
    with pytest.raises(ConfigError, match=r"layer-wise decay of 0\.0, expected"):
        trained().parameter_groups(0.1, decay=0.0)


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "llama", "deepseek_v2"])
def test_the_models_own_dropout_can_be_set(checkpoints, architecture):
    for dropout, same in ((0.0, True), (0.5, False)):
        trainable = TrainableEncoder(build(checkpoints[architecture]), Full(encoder_dropout=dropout)).train()
        batch = trainable.tokenize(TEXTS)
        with torch.no_grad(), torch.random.fork_rng():
            assert torch.allclose(trainable(batch), trainable.encoder.compute(TEXTS), atol=1e-5) == same


def test_the_model_keeps_its_dropout_by_default(checkpoints):
    trainable = TrainableEncoder(build(checkpoints["bert"]), LoRA(dropout=0.25))
    shares = {module.p for module in trainable.modules() if isinstance(module, torch.nn.Dropout)}
    assert shares == {0.1, 0.25}


def test_randomness_comes_from_the_generator_alone(checkpoints):
    def first(name):
        generator = None if name is None else child_generator(0, name)
        return state_of(TrainableEncoder(build(checkpoints["bert"]), LoRA(), generator))

    before = torch.get_rng_state()
    one, again, other, default, default_again = map(first, ("a", "a", "b", None, None))
    assert torch.equal(torch.get_rng_state(), before)
    name = next(name for name in one if ".lora_A." in name)
    assert torch.equal(one[name], again[name])
    assert torch.equal(default[name], default_again[name])
    assert not torch.equal(one[name], other[name])
    bound = 1 / one[name].shape[1] ** 0.5  # of Kaiming's uniform draw with a = sqrt(5)
    assert 0.5 * bound < one[name].abs().max() <= bound


@pytest.mark.parametrize("architecture", KNOWN)
@pytest.mark.parametrize("kind", KINDS)
def test_interpolation_goes_to_the_published_features_and_back(trained, checkpoints, architecture, kind):
    trainable = trained(kind, architecture)
    end, state = trainable.compute(TEXTS), state_of(trainable)
    trainable.interpolate(0.3)
    trainable.interpolate(0.0)
    assert torch.equal(trainable.compute(TEXTS), build(checkpoints[architecture]).encode(TEXTS))
    trainable.interpolate(1.0)
    assert torch.equal(trainable.compute(TEXTS), end)
    assert all(torch.equal(state[name], tensor) for name, tensor in state_of(trainable).items())
    train(trainable, steps=1)  # and it can be trained on
    moved = trainable.compute(TEXTS)
    trainable.interpolate(0.5)
    trainable.interpolate(1.0)
    assert torch.equal(trainable.compute(TEXTS), moved)


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_half_way_is_the_mean_of_the_weights(trained, checkpoints, kind):
    def weights(encoder):
        return dict(encoder.backbone.named_parameters())

    trainable = trained(kind)
    start, end = weights(build(checkpoints["bert"])), weights(trainable.merged())
    trainable.interpolate(0.5)
    half = weights(trainable.merged())
    assert any(not torch.allclose(start[name], end[name], atol=1e-4) for name in start)
    for name, weight in half.items():
        torch.testing.assert_close(weight, (start[name] + end[name]) / 2, atol=1e-6, rtol=0)
    with pytest.raises(ConfigError, match=r"share of 1\.5, expected a number from 0 to 1"):
        trainable.interpolate(1.5)


@pytest.mark.parametrize("architecture", KNOWN)
@pytest.mark.parametrize("kind", KINDS)
def test_merged_gives_the_trained_features(trained, architecture, kind):
    trainable = trained(kind, architecture, shallow_layer=1)
    features = trainable.compute(TEXTS)
    merged = trainable.merged()
    torch.testing.assert_close(merged.encode(TEXTS), features, atol=2e-5, rtol=0)
    assert not torch.allclose(features, trainable.published.encode(TEXTS), atol=1e-3)
    train(trainable, steps=1)
    torch.testing.assert_close(merged.encode(TEXTS), features, atol=2e-5, rtol=0)  # a copy
    names = {name for name, _ in trainable.published.module.named_parameters()}
    added = state_of(trainable).keys() if kind == "adapter" else set()
    assert {name for name, parameter in merged.module.named_parameters() if parameter.requires_grad} == names | added


def test_trained_features_and_published_ones_never_share_a_cache(checkpoints, tmp_path):
    published = build(checkpoints["bert"], cache=str(tmp_path))
    before = published.encode(TEXTS)
    trainable = train(TrainableEncoder(published, LoRA()))
    files = sorted(tmp_path.rglob("*"))
    trainable.compute(TEXTS)
    trainable.encoder.encode(TEXTS)
    assert sorted(tmp_path.rglob("*")) == files
    merged = trainable.merged()
    after = merged.encode(TEXTS)
    assert merged.n_encoded == len(TEXTS)
    assert not torch.allclose(before, after, atol=1e-3)
    assert {folder.name for folder in tmp_path.iterdir()} == {published.fingerprint, merged.fingerprint}
    assert torch.equal(published.replace().encode(TEXTS), before)
    warm = merged.replace()  # carries the weights along
    assert torch.equal(warm.encode(TEXTS), after)
    assert warm.n_encoded == 0
    trainable.interpolate(0.5)
    assert len({published.fingerprint, merged.fingerprint, trainable.merged().fingerprint}) == 3


@pytest.mark.parametrize(
    ("trainable", "values", "said"),
    [
        (LoRA, {"rank": 0, "alpha": 0.0}, "rank=0, trainable.alpha=0.0. Expected a positive number for rank, alpha"),
        (LoRA, {"dropout": 1.0}, "dropout=1.0. Expected a share from 0 to below 1 for dropout"),
        (LoRA, {"targets": []}, r"targets=\[\]. Expected at least one name"),
        (LoRA, {"experts": True, "dropout": 0.1}, "dropout=0.1. Expected 0 or false beside experts=true for dropout"),
        (LoRA, {"experts": True, "dora": True}, "dora=true. Expected 0 or false beside experts=true for dora"),
        (Adapter, {"dim": 0}, "dim=0. Expected a positive number for dim"),
        (Full, {"encoder_dropout": -0.1}, "encoder_dropout=-0.1. Expected a share from 0 to below 1"),
    ],
)
def test_values_that_cannot_be_are_refused_at_once(trainable, values, said):
    with pytest.raises(ConfigError, match=rf"Got trainable\.{said}"):
        trainable(**values)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_minilm_is_fast_again_once_merged(kind, monkeypatch):
    monkeypatch.setattr("fewshot.encoders.precision._cpu_has_bfloat16", lambda: True)
    trainable = train(TrainableEncoder(SentenceTransformerEncoder(cache=None), KINDS[kind]()), 3, 0.5)
    exact = trainable.encoder.compute(TEXTS)
    merged = trainable.merged()
    for features in (trainable.compute(TEXTS), merged.encode(TEXTS)):
        assert torch.cosine_similarity(features, exact).min() > 0.999
        assert not torch.equal(features, exact)
    assert {p.dtype for p in merged.backbone.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in trainable.parameters()} == {torch.float32}
    assert torch.cosine_similarity(exact, trainable.published.encode(TEXTS)).min() < 0.99


def test_mixed_precision_is_left_where_it_would_change_the_features(monkeypatch):
    monkeypatch.setattr("fewshot.encoders.precision._cpu_has_bfloat16", lambda: True)
    monkeypatch.setattr("fewshot.encoders.trainable.MIN_COSINE", 1.1)
    trainable = TrainableEncoder(SentenceTransformerEncoder(cache=None), LoRA())
    assert torch.equal(trainable.compute(TEXTS), trainable.encoder.compute(TEXTS))


def test_a_precision_that_was_asked_for_is_that_of_the_merged_weights(trained):
    merged = trained("lora", dtype="bfloat16").merged()
    features = merged.encode(TEXTS)
    assert {p.dtype for p in merged.backbone.parameters()} == {torch.bfloat16}
    assert torch.cosine_similarity(features, merged.replace(dtype="float32").encode(TEXTS)).min() > 0.99
