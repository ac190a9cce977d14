"""Inner loops through tiny transformers: second order by finite differences, padding, dropout, saving."""

import pytest
import torch

from fewshot.encoders import Full, LoRA, TransformerEncoder
from fewshot.episodes import EpisodeBatch
from fewshot.errors import ConfigError
from fewshot.learners import MAML, load_learner, save_learner
from fewshot.learners.maml.encoder_maml import Body, EncoderMAML, TokenEpisode, token_rows
from fewshot.randomness import child_generator
from fewshot.training import EncoderMAMLTrainer
from fewshot.training.encoder_maml_trainer import TaskTokens
from tests.fakes import FakeEncoder
from tests.synthetic import seeded
from tests.tiny_models import ARCHITECTURES, DIM, WORDS, save_transformer

TEXTS = [" ".join(WORDS[(3 * i + j * (i % 3 + 1)) % len(WORDS)] for j in range(2 + i % 5)) for i in range(24)]
KINDS = {"lora": LoRA(rank=2), "full": Full()}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Architecture → encoder, made when it is first asked for."""
    made = {}

    def get(architecture="bert"):
        if architecture not in made:
            folder = save_transformer(architecture, tmp_path_factory.mktemp("models") / architecture)
            made[architecture] = TransformerEncoder(str(folder), cache=None, dtype="float32", device="cpu")
        return made[architecture]

    return get


def episodes(encoder, names=True):
    """Two episodes: three ways of two shots, of which one is missing, and the queries."""
    rows = token_rows(encoder, TEXTS)
    ways = torch.tensor([0, 0, 1, 2, 2])
    places = torch.tensor([0, 1, 2, 4, 5])
    found = []
    for start in (0, 6):
        support = rows[start + places]
        if names:
            support = torch.cat([support, rows[12 + start // 2 : 15 + start // 2]])
        own = torch.cat([ways, torch.arange(3)]) if names else ways
        found.append(TokenEpisode(support, own, rows[18 + start // 2 : 21 + start // 2], torch.arange(3), 3))
    return found


def learner_of(encoder, kind="lora", **settings):
    chosen = MAML(DIM, **{"inner_steps": 2, "inner_lr": 0.02} | settings).settings
    learner = EncoderMAML(encoder, KINDS[kind], chosen)
    generator = seeded(1)
    with torch.no_grad():
        for parameter in learner.first.parameters():  # LoRA's B would be zero, and A without effect
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return learner


def double(learner):
    learner.double()
    learner.body.trainable.double()
    return learner


def value_of(learner, batch):
    """The loss, with the same dropout each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return learner(batch)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("kind", ["lora", pytest.param("full", marks=pytest.mark.slow)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_meta_gradients_of_second_order_are_those_of_finite_differences(encoders, architecture, kind, training):
    """With padding, along a direction in which all gradients count; a longer step would change a router's mind."""
    encoder = encoders(architecture)
    batch = episodes(encoder)
    assert bool((batch[0].support < 0).any())
    learner = learner_of(encoder, kind, inner_steps=1).train(training)
    trained = [p for p in learner.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(value_of(learner, batch), trained, allow_unused=True, materialize_grads=True)
    generator = seeded(2)
    direction = [torch.rand(p.shape, generator=generator) * g for p, g in zip(trained, gradients, strict=True)]
    length = torch.stack([way.square().sum() for way in direction]).sum().sqrt()
    ours = float(sum((g * way).sum() for g, way in zip(gradients, direction, strict=True)) / length)
    values, step = [], 3e-4
    for sign in (1, -2):  # to one side, and from there to the other
        with torch.no_grad():
            for parameter, way in zip(trained, direction, strict=True):
                parameter += sign * step / length * way
            values.append(float(value_of(learner, batch).detach()))
    assert ours == pytest.approx((values[0] - values[1]) / (2 * step), rel=2e-3)
    assert ours > 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_engines_agree(encoders, kind):
    from fewshot.learners.maml import learn2learn

    if not learn2learn.is_installed():
        pytest.skip(f"learn2learn is not installed: {learn2learn.HOW_TO_GET_IT}")
    found = []
    for engine in ("fewshot", "learn2learn"):
        learner = double(learner_of(encoders(), kind, engine=engine))
        learner(episodes(encoders())).backward()
        found.append({name: p.grad for name, p in learner.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"reptile": True}, {"first_order": True}, {"multi_step_loss": True}], ids=str)
def test_a_batch_is_the_mean_of_its_episodes(encoders, settings):
    batch = episodes(encoders())
    together, alone = learner_of(encoders(), **settings), learner_of(encoders(), **settings)
    loss = together(batch)
    (3 * loss).backward()
    losses = [alone([one]) for one in batch]
    (1.5 * (losses[0] + losses[1])).backward()
    assert float(loss.detach()) == pytest.approx(float((losses[0] + losses[1]).detach()) / 2, rel=1e-5)
    for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_steps_lower_the_loss_of_the_support(encoders):
    losses = []
    for steps in (1, 5):
        one = episodes(encoders(), names=False)[0]
        itself = TokenEpisode(one.support, one.ways, one.support, one.ways, 3)
        with torch.no_grad():
            losses.append(float(learner_of(encoders(), inner_steps=steps)([itself])))
    assert losses[1] < 0.9 * losses[0]


def test_adapting_changes_neither_the_learner_nor_the_encoder(encoders):
    learner = learner_of(encoders())
    before = {name: tensor.clone() for name, tensor in learner.body.trainable.state_dict().items()}
    features = encoders().encode(TEXTS[:4])
    learner(episodes(encoders())).backward()
    learner.adapt(TEXTS[:6], torch.arange(3).repeat_interleave(2), 3)
    after = learner.body.trainable.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(encoders().encode(TEXTS[:4]), features)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", ["bert", "deepseek_v3"])
def test_the_adapted_encoder_gives_the_logits_of_the_inner_loop(encoders, architecture, kind):
    learner = learner_of(encoders(architecture), kind)
    rows = token_rows(encoders(architecture), TEXTS)
    ways = torch.arange(3).repeat_interleave(2)
    expected = learner.logits(TokenEpisode(rows[:6], ways, rows[12:18], ways, 3)).detach()
    for _ in range(2):  # the encoder is loaded once, and its weights are changed
        encoder, classifier = learner.adapt(TEXTS[:6], ways, 3)
        features = torch.nn.functional.normalize(encoder.encode(TEXTS[12:18]), dim=-1)
        torch.testing.assert_close(classifier.logits(features[None])[0], expected, rtol=1e-4, atol=1e-4)
        learner.adapt(TEXTS[6:12], ways, 3)


def test_features_before_the_first_step_are_those_of_the_encoder(encoders):
    """Padding, as much of it as there is, changes nothing."""
    body = Body(encoders(), LoRA(rank=2), True, child_generator(0, "test"))
    rows = token_rows(encoders(), TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(body(body.start, rows), encoders().encode(TEXTS))
        torch.testing.assert_close(body(body.start, rows[:1]), encoders().encode(TEXTS[:1]))


def test_a_token_that_is_also_padding_stays_a_token(encoders):
    encoder = encoders("llama")
    rows = token_rows(encoder, ["heart [PAD]", "heart [PAD] attack"])
    assert rows[0].tolist()[1:] == [0, -1]
    body = Body(encoder, LoRA(rank=2), False, child_generator(0, "test"))
    with torch.no_grad():
        torch.testing.assert_close(body(body.start, rows), encoder.encode(["heart [PAD]", "heart [PAD] attack"]))


def test_episodes_of_a_task_are_rows_of_its_texts_and_label_names(encoders):
    rows = token_rows(encoders(), [*TEXTS, "heart attack", "tax form", "loan"])
    support = torch.tensor([[[0, 1], [8, -1], [16, 17]]])
    query = torch.tensor([[[4, 5], [12, 13], [20, 21]]])
    batch = EpisodeBatch(torch.tensor([[2, 1, 0]]), support, support >= 0, query)
    one = TaskTokens(rows[:24], rows[24:]).episode(batch)
    assert torch.equal(one.support, rows[[0, 1, 8, 16, 17, 26, 25, 24]])
    assert one.ways.tolist() == [0, 0, 1, 2, 2, 0, 1, 2]
    assert torch.equal(one.query, rows[[4, 5, 12, 13, 20, 21]])
    assert torch.equal(TaskTokens(rows[:24], None).episode(batch).ways, one.ways[:5])


def test_only_what_is_adapted_is_trained(encoders):
    names = {name for name, p in learner_of(encoders()).named_parameters() if p.requires_grad}
    assert {name for name in names if "lora_" not in name} == {"log_scale"}
    assert any("lora_A" in name for name in names)
    assert len(learner_of(encoders(), "full").first.named()) > len(names)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_gives_identical_logits(encoders, tmp_path, kind):
    learner = learner_of(encoders(), kind, rates="per_layer_and_step")
    save_learner(learner, tmp_path)
    loaded = load_learner(tmp_path, encoder=encoders())
    one = episodes(encoders())[0]
    assert torch.equal(loaded.logits(one), learner.logits(one))
    with pytest.raises(
        ConfigError, match=r"adapts an encoder, and none was given.*load_learner\(folder, encoder=encoder\)"
    ):
        load_learner(tmp_path)
    with pytest.raises(ConfigError, match="trained on features of an encoder with the fingerprint"):
        load_learner(tmp_path, encoder=encoders().replace(max_length=3))


def test_a_published_encoder_is_trained_at_one_rate_and_not_pulled_to_zero(encoders):
    for kind in KINDS:
        learner = learner_of(encoders(), kind)
        groups = EncoderMAMLTrainer(learning_rate=1e-4)._groups(learner)
        of = {id(p): group for group in groups for p in group["params"]}
        assert {id(p) for p in learner.parameters() if p.requires_grad} == of.keys()
        for name, parameter in learner.named_parameters():
            if parameter.requires_grad:
                rate = 1e-2 if name == "log_scale" else 1e-4
                assert (of[id(parameter)]["lr"], of[id(parameter)]["weight_decay"]) == (rate, 0.0), name


def test_a_learned_head_has_its_own_number_of_classes(encoders):
    learner = learner_of(encoders(), head_init="learned", ways=3)
    assert learner(episodes(encoders())).isfinite()
    with pytest.raises(ConfigError, match=r"episodes of 2 classes for a learned head of learner.ways=3"):
        learner.adapt(TEXTS[:4], torch.tensor([0, 0, 1, 1]), 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hidden": 4}, r"learner.hidden=4 with training=through_encoder"),
        ({"engine": "learn2learn", "rates": "per_parameter"}, r"MetaSGD wants a gradient for every parameter"),
    ],
)
def test_what_goes_by_features_alone_is_refused(encoders, settings, said):
    with pytest.raises(ConfigError, match=said):
        learner_of(encoders(), **settings)


def test_an_encoder_without_token_ids_is_refused():
    with pytest.raises(
        ConfigError, match=r"reads ids, but an inner loop through the encoder gives it the ids of tokens"
    ):
        token_rows(FakeEncoder(), ["one text"])


def with_kernel(encoder, kernel, monkeypatch):
    """An encoder that asks for another attention kernel."""
    monkeypatch.setattr("fewshot.encoders.transformer.attention_kernel", lambda max_length, device: kernel)
    return encoder.replace()


def test_a_fused_kernel_is_changed_for_one_with_a_second_derivative(encoders, monkeypatch):
    encoder = with_kernel(encoders("qwen2"), "sdpa", monkeypatch)
    kernels = {
        first_order: learner_of(encoder, first_order=first_order).body.trainable.backbone.config._attn_implementation
        for first_order in (False, True)
    }
    assert kernels == {False: "eager", True: "sdpa"}
    learner_of(encoder)(episodes(encoder)).backward()


def test_a_model_that_insists_on_a_fused_kernel_is_refused(encoders, monkeypatch):
    encoder = with_kernel(encoders("qwen2"), "sdpa", monkeypatch)

    def refuse(self, kernel):
        raise ValueError(f"{kernel} is not supported")

    monkeypatch.setattr(type(encoder.load()), "set_attn_implementation", refuse)
    with pytest.raises(ConfigError, match=r"insists on the attention kernel 'sdpa'.*Set learner\.first_order=true"):
        learner_of(encoder)
    learner_of(encoder, first_order=True)(episodes(encoder)).backward()
