"""What was scored is what is handed over: an episode's logits are those of the classifier adapted to its support."""

from dataclasses import replace

import pytest
import torch

from fewshot.adaptation import HeadTuner
from fewshot.adaptation.head import Comparison
from fewshot.augment import SemanticAugmentation
from fewshot.encoders import Full, LoRA, TrainableEncoder, TransformerEncoder
from fewshot.errors import ConfigError
from fewshot.experiment.episodes import labelled_support
from fewshot.experiment.protocol import Protocol
from fewshot.learners import LEARNERS, MAML, AttentionPrototypical, Centroid
from fewshot.meta_model import MetaModel
from fewshot.training import EncoderMAMLTrainer, EncoderTrainer, MetaTrainer
from tests.adaptation.conftest import quick
from tests.augment.sources import Prefixes
from tests.experiments import experiment
from tests.fakes import FakeEncoder
from tests.synthetic import primed, small_task
from tests.tiny_models import save_transformer

LABELS = tuple(f"colour{letter}" for letter in "abcdefghijklmnopqrst")
SAMPLED = Protocol(ways=3, shots=3, queries=4, episodes=5, baselines=())
TRAINER = MetaTrainer(steps=6, episodes_per_step=2, ways=4, shots=(1, 3), queries=2, evaluate_every=3)
TUNERS = {"head": HeadTuner(l2_to_prototypes=(0.1,), folds=2, margin=0.0)} | {
    kind: quick(kind, margin=0.0, epochs=2.0) for kind in ("lora", "adapter", "full")
}


@pytest.fixture(scope="module")
def task():
    texts = [f"{label} w{(7 * c + n) % 11} w{n % 5}" for c, label in enumerate(LABELS) for n in range(24)]
    return small_task((10, 5, 5), texts=tuple(texts), per_class=24, label_names=LABELS)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = save_transformer("bert", tmp_path_factory.mktemp("handed over") / "bert")
    return TransformerEncoder(str(folder), dtype="float32", cache=None)


def assert_handed_over(result, task):
    """Each episode's logits, and its temperature, are those of the adapted classifier."""
    protocol = result.plan.protocol
    for number in range(len(result.episodes)):
        episode = result.episodes[number]
        support = labelled_support(task, episode, protocol.label_names)
        classifier = result.model.adapt_to(support, protocol.seed)
        queries = [task.texts[place] for place in episode.query.flatten().tolist()]
        expected = result.evaluation.logits[number]
        assert torch.allclose(classifier.logits(queries), expected, atol=1e-5, rtol=1e-5)
        temperature = torch.as_tensor(result.evaluation.temperature).expand(len(result.episodes))[number]
        assert classifier.temperature == pytest.approx(float(temperature))
        assert classifier.predict(queries) == [support.labels[way] for way in expected.argmax(-1).tolist()]


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learner(task, learner, names):
    protocol = replace(SAMPLED, label_names=names, support_noise=0.0 if names else 0.4)
    assert_handed_over(experiment(task, FakeEncoder(dim=24), LEARNERS[learner], TRAINER, protocol), task)


def test_unequal_supports(task):
    assert_handed_over(
        experiment(task, FakeEncoder(dim=24), AttentionPrototypical, TRAINER, replace(SAMPLED, realistic=True)), task
    )


def test_no_shots(task):
    result = experiment(task, FakeEncoder(dim=24), AttentionPrototypical, TRAINER, replace(SAMPLED, shots=0))
    assert result.plan.rung.name == "zero_shot"
    assert_handed_over(result, task)


def test_attention_with_new_texts(task):
    augmentation = SemanticAugmentation(
        sources={"prefixes": Prefixes(("a", "the"))}, lowest_cosine=0.0, highest_cosine=0.999, margin=-2.0
    )
    protocol = replace(SAMPLED, support_noise=0.4)
    result = experiment(task, FakeEncoder(dim=24), AttentionPrototypical, TRAINER, protocol, augmentation=augmentation)
    assert sum(result.augmentation.new_texts["test"].nearer) > 0
    assert_handed_over(result, task)


def test_a_meta_trained_encoder(task, tiny):
    trainer = EncoderTrainer(steps=4, ways=4, evaluate_every=2, precision="float32", learning_rate=1e-2)
    result = experiment(task, tiny, AttentionPrototypical, TRAINER, SAMPLED, trainable=Full(), encoder_trainer=trainer)
    assert result.trained.encoder_training.history.steps == 4
    assert_handed_over(result, task)


@pytest.mark.parametrize(
    "trainable", [pytest.param(LoRA(rank=2), id="lora"), pytest.param(Full(), id="full", marks=pytest.mark.slow)]
)
def test_an_inner_loop_through_the_encoder(task, tiny, monkeypatch, trainable):
    monkeypatch.setattr("fewshot.experiment.meta_training.FEWER", 20)
    trainer = EncoderMAMLTrainer(steps=2, evaluate_every=2, episodes_per_step=1, ways=3, shots=[1], queries=1)
    learner = lambda dim: MAML(dim, inner_steps=2)  # noqa: E731
    result = experiment(task, tiny, learner, trainer, replace(SAMPLED, episodes=2), trainable=trainable)
    assert_handed_over(result, task)


@pytest.mark.parametrize("stage", ["head", "lora", "adapter", "full"])
@pytest.mark.parametrize("pays", [True, False])
def test_what_is_tuned(task, tiny, monkeypatch, stage, pays):
    monkeypatch.setattr(Comparison, "pays", lambda *given: pays)
    monkeypatch.setattr("fewshot.adaptation.final_stage.held_out_accuracy", lambda *given: 0.0)
    how = {"final_stage": stage} if stage == "head" else {"strategy": stage}
    protocol = replace(SAMPLED, ways=None, shots=10, test_texts=6, supports=2, label_names=False)
    result = experiment(task, tiny, Centroid, TRAINER, protocol, tuners=TUNERS, **how)
    assert {details["stage"] for details in result.scored.adaptations} <= {stage, "head", "prototypes"}
    assert (result.scored.classifier is not None) is pays
    assert_handed_over(result, task)


def test_a_model_adapts_to_labels_of_other_classes_and_of_any_kind():
    encoder = FakeEncoder(dim=24)
    model = MetaModel(encoder, Centroid(24))
    classifier = model.adapt(["bear food", "crow food", "bear den"], [7, 3, 7])
    assert classifier.labels == (3, 7)
    assert classifier.predict(["a bear", "the crow"]) == [7, 3]
    assert torch.allclose(classifier.predict_proba(["a bear"]).sum(-1), torch.ones(1))
    names = model.adapt([], [], {"bear": "bear", "crow": "crow"})
    assert names.predict(["the crow"]) == ["crow"]


def test_a_classifier_does_not_change_with_its_learner():
    model = MetaModel(FakeEncoder(dim=24), AttentionPrototypical(24))
    classifier = model.adapt(["bear food", "crow food"], ["bear", "crow"])
    before = classifier.logits(["a bear"])
    with torch.no_grad():
        for parameter in model.learner.parameters():
            parameter.add_(0.5)
    assert torch.equal(classifier.logits(["a bear"]), before)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_meta_model_comes_back_from_its_folder(name, tmp_path):
    model = MetaModel(FakeEncoder(16), primed(name, 16))
    texts, labels = ["a b", "a c", "d e", "d f"], ["x", "x", "y", "y"]
    model.save_pretrained(tmp_path / "model", {"task": "letters"})
    again = MetaModel.from_pretrained(tmp_path / "model", FakeEncoder(16))
    expected = model.adapt(texts, labels).logits(["a f", "d b"])
    assert torch.equal(again.adapt(texts, labels).logits(["a f", "d b"]), expected)


def test_a_meta_trained_encoder_comes_back_too(tiny, tmp_path):
    trainable = TrainableEncoder(tiny, LoRA())
    with torch.no_grad():
        for parameter in trainable.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    encoder = trainable.merged()
    model = MetaModel(encoder, Centroid(encoder.encode(["a"]).shape[1]))
    model.save_pretrained(tmp_path)
    again = MetaModel.from_pretrained(tmp_path)
    assert torch.equal(again.encoder.encode(["heart attack"]), encoder.encode(["heart attack"]))


def test_a_folder_without_a_meta_model_gets_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="holds no meta-model that can be read"):
        MetaModel.from_pretrained(tmp_path)
