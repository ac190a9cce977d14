"""Inner loops through tiny transformers: second order by finite differences, padding, dropout, saving."""

import pytest
import torch

from fewshot.encoders import LoRA, TransformerEncoder
from fewshot.episodes import EpisodeBatch
from fewshot.errors import ConfigError
from fewshot.evaluation import evaluate, predict
from fewshot.features import TaskFeatures
from fewshot.learners import MAML, Support, load_learner, save_learner
from fewshot.learners.maml import token_rows
from fewshot.learners.maml.body import Body
from fewshot.randomness import child_generator
from fewshot.training import MetaTrainer
from tests.fakes import FakeEncoder
from tests.synthetic import seeded
from tests.tiny_models import ARCHITECTURES, DIM, WORDS, save_transformer

TEXTS = [" ".join(WORDS[(3 * i + j * (i % 3 + 1)) % len(WORDS)] for j in range(2 + i % 5)) for i in range(24)]
TARGETS = torch.arange(3).expand(2, -1)
MASK = torch.tensor([[[True, True], [True, False], [True, True]]]).expand(2, -1, -1)


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
    """Two episodes of token rows: three ways, two shots, one missing; and the queries."""
    rows = token_rows(encoder, TEXTS)
    label_names = rows[12:18].view(2, 3, -1) if names else None
    return Support(rows[:12].view(2, 3, 2, -1), MASK, label_names), rows[18:].view(2, 3, -1)


def attached(encoder, **settings):
    learner = MAML(DIM, **{"adapts": "lora", "inner_steps": 2, "inner_lr": 0.02} | settings)
    learner.attach(encoder, LoRA(rank=2) if learner.arguments["adapts"] == "lora" else None)
    generator = seeded(1)
    with torch.no_grad():
        for parameter in learner.first.parameters():  # LoRA's B would be zero, and A without effect
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return learner


def double(learner):
    learner.double()
    learner.body.trainable.double()
    return learner


def value_of(learner, support, query):
    """The loss, with the same dropout each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return learner.loss(support, query, TARGETS)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("adapts", ["lora", pytest.param("encoder", marks=pytest.mark.slow)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_meta_gradients_of_second_order_are_those_of_finite_differences(encoders, architecture, adapts, training):
    """With padding, along a direction in which all gradients count; a longer step would change a router's mind."""
    encoder = encoders(architecture)
    support, query = episodes(encoder)
    assert bool((support.features < 0).any())
    learner = attached(encoder, adapts=adapts, inner_steps=1).train(training)
    trained = [p for p in learner.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(
        value_of(learner, support, query), trained, allow_unused=True, materialize_grads=True
    )
    generator = seeded(2)
    direction = [torch.rand(p.shape, generator=generator) * g for p, g in zip(trained, gradients, strict=True)]
    length = torch.stack([way.square().sum() for way in direction]).sum().sqrt()
    ours = float(sum((g * way).sum() for g, way in zip(gradients, direction, strict=True)) / length)
    values, step = [], 3e-4
    for sign in (1, -2):  # to one side, and from there to the other
        with torch.no_grad():
            for parameter, way in zip(trained, direction, strict=True):
                parameter += sign * step / length * way
            values.append(float(value_of(learner, support, query).detach()))
    assert ours == pytest.approx((values[0] - values[1]) / (2 * step), rel=2e-3)
    assert ours > 1


@pytest.mark.parametrize("adapts", ["lora", "encoder"])
def test_the_engines_agree(encoders, adapts):
    from fewshot.learners.maml import learn2learn

    if not learn2learn.is_installed():
        pytest.skip(f"learn2learn is not installed: {learn2learn.HOW_TO_GET_IT}")
    support, query = episodes(encoders())
    found = []
    for engine in ("fewshot", "learn2learn"):
        learner = double(attached(encoders(), adapts=adapts, engine=engine))
        learner.loss(support, query, TARGETS).backward()
        found.append({name: p.grad for name, p in learner.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"reptile": True}, {"first_order": True}, {"multi_step_loss": True}], ids=str)
def test_a_batch_is_the_mean_of_its_episodes(encoders, settings):
    support, query = episodes(encoders())
    together = attached(encoders(), **settings)
    loss = together.loss(support, query, TARGETS)
    (3 * loss).backward()
    alone, losses = attached(encoders(), **settings), []
    for e in range(2):
        one = Support(support.features[e : e + 1], support.mask[e : e + 1], support.label_names[e : e + 1])
        losses.append(alone.loss(one, query[e : e + 1], TARGETS[:1]))
    (1.5 * (losses[0] + losses[1])).backward()
    assert float(loss.detach()) == pytest.approx(float((losses[0] + losses[1]).detach()) / 2, rel=1e-5)
    for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_steps_lower_the_loss_of_the_support(encoders):
    support, _ = episodes(encoders(), names=False)
    full = Support(support.features, torch.ones_like(MASK))
    texts, ways = full.features.flatten(1, 2), torch.arange(3).repeat_interleave(2).expand(2, -1)
    losses = []
    for steps in (1, 5):
        with torch.no_grad():
            logits = attached(encoders(), inner_steps=steps).adapt(full).logits(texts)
        losses.append(float(torch.nn.functional.cross_entropy(logits.mT, ways)))
    assert losses[1] < 0.9 * losses[0]


def test_adapting_changes_neither_the_learner_nor_the_encoder(encoders):
    support, query = episodes(encoders())
    learner = attached(encoders())
    before = {name: tensor.clone() for name, tensor in learner.body.trainable.state_dict().items()}
    features = encoders().encode(TEXTS[:4])
    learner.loss(support, query, TARGETS).backward()
    learner.adapt(support).logits(query)
    after = learner.body.trainable.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(encoders().encode(TEXTS[:4]), features)


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


def test_it_is_scored_as_any_learner(encoders):
    rows = token_rows(encoders(), [*TEXTS, "heart attack", "tax form", "loan"])
    features = TaskFeatures(rows[:24], rows[24:])
    support = torch.tensor([[[0, 1], [8, -1], [16, 17]], [[2, 3], [10, 11], [18, -1]]])
    query = torch.tensor([[[4, 5], [12, 13], [20, 21]]]).expand(2, -1, -1)
    batch = EpisodeBatch(torch.tensor([[0, 1, 2]] * 2), support, support >= 0, query)
    learner = attached(encoders()).train()
    with torch.no_grad():
        logits = predict(learner, features, batch)
        evaluation = evaluate(learner, features, batch)
        assert learner.training
        expected = learner.eval().adapt(features.support(batch)).logits(features.query(batch))
    torch.testing.assert_close(logits, expected)  # dropout was off
    torch.testing.assert_close(evaluation.logits, expected)
    assert bool(evaluation.intra_class_distance.isfinite().all())


def test_only_what_is_adapted_is_trained(encoders):
    before = MAML(DIM, adapts="lora")
    assert before.reads == "tokens"
    names = {name for name, p in attached(encoders()).named_parameters() if p.requires_grad}
    assert {name for name in names if "lora_" not in name} == {"log_scale"}
    assert any("lora_A" in name for name in names)
    assert len(attached(encoders(), adapts="encoder").first.named()) > len(names)


@pytest.mark.parametrize("settings", [{}, {"adapts": "encoder", "rates": "per_layer_and_step"}], ids=str)
def test_saved_and_loaded_it_gives_identical_logits(encoders, tmp_path, settings):
    support, query = episodes(encoders())
    learner = attached(encoders(), **settings)
    save_learner(learner, tmp_path)
    loaded = load_learner(tmp_path, encoder=encoders())
    with torch.no_grad():
        assert torch.equal(loaded.adapt(support).logits(query), learner.adapt(support).logits(query))
    with pytest.raises(
        ConfigError, match=r"adapts an encoder, and none was given.*load_learner\(folder, encoder=encoder\)"
    ):
        load_learner(tmp_path)


def test_another_encoder_than_it_was_trained_with_is_refused(encoders, tmp_path):
    save_learner(attached(encoders()), tmp_path)
    with pytest.raises(ConfigError, match="trained with an encoder of fingerprint="):
        load_learner(tmp_path, encoder=encoders().replace(max_length=3))


def test_a_published_encoder_is_trained_at_one_rate_and_not_pulled_to_zero(encoders):
    for adapts in ("lora", "encoder"):
        learner = attached(encoders(), adapts=adapts)
        groups = MetaTrainer(learning_rate=1e-4)._groups(learner)
        of = {id(p): group for group in groups for p in group["params"]}
        assert {id(p) for p in learner.parameters() if p.requires_grad} == of.keys()
        for name, parameter in learner.named_parameters():
            if parameter.requires_grad:
                rate = 1e-2 if name == "log_scale" else 1e-4
                assert (of[id(parameter)]["lr"], of[id(parameter)]["weight_decay"]) == (rate, 0.0), name


def test_without_an_encoder_it_says_what_to_do(encoders):
    with pytest.raises(ConfigError, match=r"no encoder to adapt\. Call learner\.attach\(encoder\)"):
        MAML(DIM, adapts="lora").adapt(episodes(encoders())[0])


def test_an_encoder_of_another_width_is_refused(encoders):
    with pytest.raises(ConfigError, match=r"Got dim=8, but encoder model .* gives 32 features"):
        MAML(8, adapts="lora").attach(encoders())


def test_an_encoder_without_token_ids_is_refused():
    with pytest.raises(
        ConfigError, match=r"reads ids, but a learner that adapts the encoder gives it the ids of tokens"
    ):
        token_rows(FakeEncoder(), ["one text"])


def with_kernel(encoder, kernel, monkeypatch):
    """An encoder that asks for another attention kernel."""
    monkeypatch.setattr("fewshot.encoders.transformer.attention_kernel", lambda max_length, device: kernel)
    return encoder.replace()


def test_a_fused_kernel_is_changed_for_one_with_a_second_derivative(encoders, monkeypatch):
    encoder = with_kernel(encoders("qwen2"), "sdpa", monkeypatch)
    support, query = episodes(encoder)
    kernels = {
        first_order: attached(encoder, first_order=first_order).body.trainable.backbone.config._attn_implementation
        for first_order in (False, True)
    }
    assert kernels == {False: "eager", True: "sdpa"}
    attached(encoder).loss(support, query, TARGETS).backward()


def test_a_model_that_insists_on_a_fused_kernel_is_refused(encoders, monkeypatch):
    encoder = with_kernel(encoders("qwen2"), "sdpa", monkeypatch)

    def refuse(self, kernel):
        raise ValueError(f"{kernel} is not supported")

    monkeypatch.setattr(type(encoder.load()), "set_attn_implementation", refuse)
    with pytest.raises(ConfigError, match=r"insists on the attention kernel 'sdpa'.*Set learner\.first_order=true"):
        attached(encoder)
    assert attached(encoder, first_order=True).body is not None
