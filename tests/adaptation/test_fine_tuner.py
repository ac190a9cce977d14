"""Fine-tuning an encoder on a support: it learns where there is something to learn, and never makes things worse."""

import logging

import pytest
import torch

from fewshot.adaptation import FineTuner
from fewshot.adaptation.tuning import BalancedBatches, StepBatches
from fewshot.encoders import Full, TrainableEncoder, TransformerEncoder
from fewshot.episodes import LabelledTexts
from fewshot.errors import ConfigError
from fewshot.training import Checkpoints, TrainingFiles
from tests.adaptation.conftest import HEADS, KINDS, accuracy, coloured, quick, support_of


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_learns_what_its_features_hide(adapted, kind):
    details = adapted[kind].details
    assert details["stage"] == kind
    assert accuracy(adapted[kind]) > accuracy(adapted["head"]) + 0.1
    assert details["held_out"]["after"] > details["held_out"]["before"]
    assert details["held_out"]["n_texts"] == 3 * round(0.2 * 30)
    assert 0 < details["trained"]["trained"] < details["trained"]["total"]
    assert details["best_step"] <= details["steps"] == quick(kind).planned(3 * 25).steps


def test_the_encoder_that_was_given_stays_as_it_was(adapted, encoder, tiny):
    texts = coloured(3)[0]
    assert adapted["full"].encoder.trained is not None
    assert encoder.trained is None
    untouched = TransformerEncoder(str(tiny), dtype="float32", cache=None)
    assert torch.equal(encoder.encode(texts), untouched.encode(texts))


@pytest.mark.parametrize("folds", [1, 3])
def test_what_is_no_better_on_held_out_texts_is_not_kept(encoder, folds):
    texts, labels = coloured(8)
    mixed = [labels[index] for index in torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    support = LabelledTexts.of(texts, mixed)
    classifier = quick(margin=3.0, folds=folds, epochs=2.0).fit(encoder, support, head=HEADS)
    before = HEADS.fit(encoder, support)
    assert classifier.details["stage"] == before.details["stage"]
    assert classifier.encoder.trained is None
    assert torch.equal(classifier.logits(texts), before.logits(texts))


def test_cross_validation_ends_with_a_model_of_all_texts(encoder, monkeypatch):
    seen = []
    original = TrainableEncoder.embed_texts
    monkeypatch.setattr(
        TrainableEncoder,
        "embed_texts",
        lambda self, texts, *more: (seen.append(texts), original(self, texts, *more))[1],
    )
    support = support_of(20)
    classifier = quick("lora", folds=2).fit(encoder, support, head=HEADS)
    details = classifier.details
    assert details["stage"] == "lora"
    assert details["folds"] == 2
    assert details["held_out"]["n_texts"] == len(support.texts)
    assert accuracy(classifier) > accuracy(HEADS.fit(encoder, support)) + 0.1
    of_the_last = seen[-details["best_step"] :]
    assert {text for texts in of_the_last for text in texts} == set(support.with_names_as_texts().texts)


def test_held_out_texts_are_never_trained_on(encoder, monkeypatch):
    seen = set()
    original = TrainableEncoder.embed_texts
    monkeypatch.setattr(
        TrainableEncoder,
        "embed_texts",
        lambda self, texts, *more: (seen.update(texts), original(self, texts, *more))[1],
    )
    support = support_of(10, names=False)
    quick(held_out=0.3, epochs=3.0).fit(encoder, support, seed=5, head=HEADS)
    kept, held = support.held_out(0.3, seed=5)
    assert seen == set(support.subset(kept).texts)
    assert not seen & set(support.subset(held).texts)


def test_one_text_per_class_tunes_nothing(encoder, caplog):
    with caplog.at_level(logging.INFO, "fewshot"):
        classifier = quick(folds=3).fit(encoder, support_of(1), head=HEADS)
    assert classifier.details["stage"] == "prototypes"
    assert classifier.encoder is encoder
    assert "No class has a text to spare" in caplog.text


def meta_trained(encoder):
    """Weights that a training before this one has moved at random."""
    trainable = TrainableEncoder(encoder, Full())
    generator = torch.Generator().manual_seed(3)
    for parameter in trainable.parameters():
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)
    return trainable.merged()


def test_it_goes_on_from_a_meta_trained_encoder(encoder):
    later = quick("lora", margin=0.0, interpolation=(0.5,)).fit(
        meta_trained(encoder), support_of(20, seed=1), head=HEADS
    )
    assert later.details["stage"] == "lora"
    assert later.encoder.trained.below.digest == meta_trained(encoder).trained.digest


@pytest.mark.parametrize("folds", [1, 2])
def test_the_same_seed_gives_the_same_model(encoder, folds):
    support = support_of(10)
    first, again, other = (
        quick(folds=folds, epochs=4.0, margin=0.0).fit(encoder, support, seed=s, head=HEADS) for s in (0, 0, 1)
    )
    assert torch.equal(first.predict_proba(support.texts), again.predict_proba(support.texts))
    assert not torch.equal(first.predict_proba(support.texts), other.predict_proba(support.texts))


def test_a_tuning_that_was_stopped_goes_on_to_the_same_bits(encoder, tmp_path):
    support, tuner = support_of(10), quick(epochs=6.0, checkpoint_seconds=0.0, margin=0.0)
    whole = tuner.fit(encoder, support, head=HEADS)
    kept = Checkpoints(tmp_path, "adaptation", {"a": 1}, resume=False)

    class Stop(Exception):
        pass

    original, calls = TrainableEncoder.embed_texts, []

    def stopping(self, texts, *more):
        calls.append(texts)
        if len(calls) == 6:
            raise Stop
        return original(self, texts, *more)

    TrainableEncoder.embed_texts = stopping
    try:
        with pytest.raises(Stop):
            tuner.fit(encoder, support, files=TrainingFiles(kept), head=HEADS)
    finally:
        TrainableEncoder.embed_texts = original
    resumed = tuner.fit(
        encoder, support, head=HEADS, files=TrainingFiles(Checkpoints(tmp_path, "adaptation", {"a": 1}, resume=True))
    )
    assert torch.equal(resumed.logits(support.texts), whole.logits(support.texts))


def test_probabilities_come_calibrated_from_held_out_texts(adapted):
    classifier = adapted["lora"]
    texts, labels = coloured(40, seed=99)
    truth = torch.tensor([classifier.labels.index(label) for label in labels])
    logits = classifier.logits(texts)
    calibrated, raw = (torch.nn.functional.cross_entropy(logits / t, truth) for t in (classifier.temperature, 1.0))
    assert classifier.temperature != 1
    assert torch.equal(classifier.predict_proba(texts), (logits / classifier.temperature).softmax(-1))
    assert calibrated < raw


@pytest.mark.parametrize("folds", [1, 2])
def test_a_tuning_that_diverges_leaves_what_was_there(encoder, folds, caplog):
    wild = quick("full", learning_rate=1e30, folds=folds, max_gradient_norm=None)
    model = wild.fit(encoder, support_of(6), head=HEADS)
    assert "has diverged" in caplog.text
    assert model.details["stage"] in ("head", "prototypes")
    assert bool(model.logits(["red"]).isfinite().all())


def test_several_batches_a_step_see_each_text_as_often():
    plan = FineTuner(epochs=2.0, batch=32)
    assert plan.planned(640).steps == 40
    assert FineTuner(epochs=2.0, batch=32, accumulate=4).planned(640).steps == 10


@pytest.mark.parametrize(
    ("n_texts", "steps", "evaluate_every"), [(640, 40, 10), (64, 4, 5), (6400, 100, 25), (10, 1, 5)]
)
def test_the_plan_follows_the_amount_of_data(n_texts, steps, evaluate_every):
    plan = FineTuner(epochs=2.0, batch=32, max_evaluations=4, steps=100, evaluate_every=5).planned(n_texts)
    assert (plan.steps, plan.evaluate_every) == (steps, evaluate_every)


def test_each_call_in_a_step_draws_another_batch():
    batches = BalancedBatches(torch.tensor([0, 0, 1, 1, 1]), 3, 1, seed=0)
    draw = StepBatches(batches, accumulate=3)
    for step in (1, 2, 5):
        for call in range(3):
            assert torch.equal(draw(step, torch.Generator()), batches(3 * (step - 1) + call + 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0.0),
        ("held_out", 1.0),
        ("max_held_out", 0),
        ("folds", 0),
        ("interpolation", []),
        ("label_smoothing", 1.0),
        ("margin", -1.0),
        ("layer_decay", 0.0),
        ("learning_rate", 0.0),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ConfigError, match=rf"Got adaptation\.{name}="):
        FineTuner(**{name: value})
