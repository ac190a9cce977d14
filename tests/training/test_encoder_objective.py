"""The loss of a step: against the learner's own loss, term by term."""

import pytest
import torch
from torch.nn.functional import normalize

from fewshot.encoders import Full, SentenceTransformerEncoder, TrainableEncoder
from fewshot.episodes import sample_episodes
from fewshot.features import TaskFeatures
from fewshot.learners import Prototypical
from fewshot.training import EncoderTrainer
from fewshot.training.encoder_objective import EncoderBatch, EncoderObjective, StepTexts
from fewshot.training.terms import alignment, consistency, supervised_contrastive
from tests.synthetic import seeded
from tests.tiny_models import DIM, save_sentence_transformer
from tests.training.first_word import first_word_task


@pytest.fixture(scope="module")
def task():
    return first_word_task()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = save_sentence_transformer(tmp_path_factory.mktemp("objective"))
    return SentenceTransformerEncoder(str(folder), cache=None, dtype="float32")


@pytest.fixture
def episodes(task):
    return sample_episodes(task.pools("train"), 1, 4, 2, 3, seeded(5))


def objective(encoder, task, names=True, weights=None, teacher=None, target=(), target_teacher=None, **settings):
    by_setting = {f"{name}_weight": weight for name, weight in ({"task": 1.0} if weights is None else weights).items()}
    return EncoderObjective(
        TrainableEncoder(encoder, Full(encoder_dropout=0.0)),
        Prototypical(DIM),
        task.texts,
        task.label_names if names else None,
        EncoderTrainer(**{"task_weight": 0.0, "target": "a folder", **by_setting, **settings}),
        teacher=teacher,
        target=target,
        target_teacher=target_teacher,
    )


def features_of(encoder, task):
    embedded = normalize(encoder.compute([*task.texts, *task.label_names]), dim=-1)
    return TaskFeatures(*embedded.tensor_split([len(task.texts)]))


def test_step_texts_name_each_text_and_class_once(task, episodes):
    step = StepTexts.of(episodes, torch.device("cpu"))
    assert len(step.texts) == len(set(step.texts.tolist())) == 4 * 5
    assert torch.equal(step.texts[step.episodes.support], episodes.support)
    assert torch.equal(step.texts[step.episodes.query], episodes.query)
    assert torch.equal(step.classes[step.episodes.classes], episodes.classes)
    assert torch.equal(step.classes[step.labels], task.labels[step.texts])


@pytest.mark.parametrize("names", [True, False])
def test_the_task_term_is_the_learners_loss_on_the_texts_features(encoder, task, episodes, names):
    features = features_of(encoder, task)
    features = features if names else features.without_label_names()
    expected = Prototypical(DIM).loss(features.support(episodes), features.query(episodes), episodes.targets)
    losses = objective(encoder, task, names)(EncoderBatch(episodes))
    assert set(losses) == {"loss", "task"}
    assert losses["task"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert losses["loss"].item() == losses["task"].item()


def test_passes_change_nothing(encoder, task, episodes):
    small, large = (objective(encoder, task, tokens_per_pass=n)(EncoderBatch(episodes)) for n in (8, 10_000))
    assert small["loss"].item() == pytest.approx(large["loss"].item(), rel=1e-5)


def test_terms_are_weighted_and_see_the_texts_the_names_the_teacher_and_the_target(encoder, task, episodes):
    weights = {"task": 0.5, "contrastive": 2.0, "consistency": 3.0, "alignment": 4.0}
    generator = seeded(1)
    teacher = TaskFeatures(*(normalize(torch.randn(n, 7, generator=generator), dim=-1) for n in (len(task.texts), 22)))
    target = ("pain in the chest", "loan interest", "green blue")
    batch = EncoderBatch(episodes, torch.tensor([0, 2, 2]))
    of_target = normalize(torch.randn(3, 7, generator=generator), dim=-1)
    whole = objective(
        encoder, task, weights=weights, teacher=teacher, target=target, target_teacher=of_target, temperature=0.3
    )
    losses = whole(batch)

    step = StepTexts.of(episodes, torch.device("cpu"))
    features = features_of(encoder, task)
    ours = torch.cat([features.texts[step.texts], features.label_names[step.classes]])
    labels = torch.cat([task.labels[step.texts], step.classes])
    taught = torch.cat([teacher.texts[step.texts], teacher.label_names[step.classes]])
    theirs = normalize(encoder.compute([target[0], target[2], target[2]]), dim=-1)
    assert losses["contrastive"].item() == pytest.approx(supervised_contrastive(ours, labels, 0.3).item(), rel=1e-4)
    assert losses["alignment"].item() == pytest.approx(alignment(ours, theirs).item(), rel=1e-3)
    both, taught = torch.cat([ours, theirs]), torch.cat([taught, of_target[[0, 2, 2]]])
    assert losses["consistency"].item() == pytest.approx(consistency(both, taught).item(), rel=1e-4)
    assert losses["loss"].item() == pytest.approx(sum(weights[name] * losses[name].item() for name in weights))


@pytest.mark.parametrize("name", ["contrastive", "consistency"])
def test_terms_with_a_low_temperature_are_computed_in_32_bits(encoder, task, episodes, name, monkeypatch):
    seen = []
    terms = "fewshot.training.encoder_objective." + {"contrastive": "supervised_contrastive"}.get(name, name)
    monkeypatch.setattr(terms, lambda ours, *_: seen.append((ours @ ours.T).dtype) or ours.sum())
    features = features_of(encoder, task)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        objective(encoder, task, weights={name: 1.0}, teacher=features)(EncoderBatch(episodes))
    assert seen == [torch.float32]


def test_the_adversarial_term_is_one_more_with_a_learned_weight(encoder, task, episodes):
    weights = {"task": 1.0, "contrastive": 0.5, "adversarial": 0.3}
    losses = objective(encoder, task, weights=weights, weighting="uncertainty")(EncoderBatch(episodes))
    assert set(losses) == {"loss", *weights}
    plain = losses["task"] + 0.5 * losses["contrastive"]
    assert losses["adversarial"].item() > plain.item()
    assert losses["loss"].item() == pytest.approx((plain + 0.3 * losses["adversarial"]).item(), rel=1e-5)


def test_terms_of_weight_zero_are_not_computed(encoder, task, episodes):
    losses = objective(encoder, task, weights={"task": 1.0, "consistency": 0.0})(EncoderBatch(episodes))
    assert set(losses) == {"loss", "task"}


def test_learned_weights_multiply_by_exp_minus_s_and_add_s(encoder, task, episodes):
    module = objective(encoder, task, weights={"task": 1.0, "contrastive": 0.5}, weighting="uncertainty")
    with torch.no_grad():
        module.log_variances["task"].fill_(0.7)
    losses = module(EncoderBatch(episodes))
    expected = 0.7 + torch.tensor(-0.7).exp() * losses["task"] + 0.5 * losses["contrastive"]
    assert losses["loss"].item() == pytest.approx(expected.item(), rel=1e-5)
    losses["loss"].backward()
    gradient = module.log_variances["contrastive"].grad.item()
    assert gradient == pytest.approx(1 - 0.5 * losses["contrastive"].item(), rel=1e-4)


def test_the_gradient_reaches_the_encoder(encoder, task, episodes):
    module = objective(encoder, task)
    module(EncoderBatch(episodes))["loss"].backward()
    trained = [p for p in module.encoder.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained if p.ndim > 1)


def test_the_pull_is_the_squared_distance_to_the_published_weights(encoder, task, episodes):
    module = objective(encoder, task, weights={"task": 1.0, "pull": 0.5})
    assert module(EncoderBatch(episodes))["pull"].item() == 0
    moved = next(parameter for parameter in module.encoder.parameters() if parameter.requires_grad)
    with torch.no_grad():
        moved += 0.1
    losses = module(EncoderBatch(episodes))
    assert losses["pull"].item() == pytest.approx(0.01 * moved.numel(), rel=1e-4)
    assert losses["loss"].item() == pytest.approx((losses["task"] + 0.5 * losses["pull"]).item(), rel=1e-5)
