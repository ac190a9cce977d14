"""The final stage in an experiment: what is tuned on each support, what it is compared with, and how long it takes."""

import time
from dataclasses import replace

import pytest
import torch

from fewshot.adaptation import HeadTuner
from fewshot.adaptation.head import Comparison
from fewshot.encoders import LoRA, TransformerEncoder
from fewshot.errors import ConfigError
from fewshot.experiment.episodes import labelled_support
from fewshot.experiment.protocol import Protocol
from fewshot.learners import Centroid, Prototypical
from fewshot.report.results import build_results
from fewshot.report.table import comparison_table
from fewshot.tasks.task import Task
from fewshot.text_classifier import TextClassifier
from fewshot.training import MetaTrainer, Store
from tests.adaptation.conftest import coloured, quick
from tests.experiments import experiment
from tests.tiny_models import save_transformer

COLOURS = ("red", "green", "blue", "black", "white", "grey")
SETTINGS = Protocol(ways=None, shots=12, test_texts=10, supports=2, baselines=("centroid",), label_names=False)
TUNERS = {
    "head": HeadTuner(l2_to_prototypes=(0.1,), folds=2, margin=0.0, iterations=15),
    "lora": quick("lora", margin=0.0),
}
TRAINER = MetaTrainer(steps=0)
WITHOUT = "without the final stage"


@pytest.fixture(scope="module")
def task():
    pairs = list(dict.fromkeys(zip(*coloured(60, colours=COLOURS), strict=True)))
    texts, labels = zip(
        *(pair for colour in COLOURS for pair in [p for p in pairs if p[1] == colour][:40]), strict=True
    )
    ids = {colour: number for number, colour in enumerate(sorted(COLOURS))}
    return Task(
        name="colours",
        texts=tuple(texts),
        labels=torch.tensor([ids[label] for label in labels]),
        classes=tuple(sorted(COLOURS)),
        label_names=tuple(sorted(COLOURS)),
        parts={"train": (0,), "valid": (1,), "test": (2, 3, 4, 5)},
        split="01",
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = save_transformer("bert", tmp_path_factory.mktemp("final") / "bert")
    return TransformerEncoder(str(folder), dtype="float32", cache=None)


def run(task, encoder, learner=Centroid, store=None, tuners=TUNERS, **settings):
    how = {name: settings.pop(name) for name in ("strategy", "final_stage", "trainable") if name in settings}
    return experiment(task, encoder, learner, TRAINER, replace(SETTINGS, **settings), store, tuners=tuners, **how)


@pytest.fixture(scope="module")
def tuned(task, encoder):
    return run(task, encoder, strategy="lora", shots=24)


def test_lora_on_each_support_is_compared_with_what_was_before(tuned):
    result = tuned
    assert result.plan.final_stage.name == "lora"
    assert list(result.baselines) == [WITHOUT]  # which is the centroid
    assert len(result.episodes) == len(result.scored.adaptations) == len(result.evaluation.logits) == 2
    assert result.evaluation.accuracy.mean > result.baselines[WITHOUT].accuracy.mean + 0.05
    for details in result.scored.adaptations:
        assert details["stage"] == "lora"
        assert details["held_out"]["n_texts"] == 4 * round(0.2 * 24)
    assert result.timings["final_stage"] > 0


def test_a_stage_goes_by_its_own_name_whatever_it_trains(task, encoder):
    tuners = TUNERS | {"light": quick("full", margin=0.0, folds=2)}
    result = run(task, encoder, final_stage="light", shots=12, tuners=tuners)
    assert "light" in {details["stage"] for details in result.scored.adaptations} <= {"light", "head"}
    assert result.scored.classifier.details["stage"] == "light"


def test_intervals_cover_other_test_texts_too(tuned, task):
    result = tuned
    for evaluation in (result.evaluation, result.baselines[WITHOUT]):
        assert torch.equal(evaluation.sample.texts, result.episodes.query.flatten(1))
        assert evaluation.sample.drawn == "fixed_test"
    told = build_results(task, "centroid", result)
    low, high = told["accuracy"]["interval"]
    assert low < told["accuracy"]["mean"] < high
    caption = comparison_table(told | {"support_noise": 0.0}).caption
    assert "± is over draws of supports alone, the interval and that of differences are for other classes" in caption


def test_one_support_has_an_interval_over_texts(task, encoder):
    result = run(task, encoder, shots=1, supports=1, classes="all")
    told = build_results(task, "centroid", result)
    assert told["accuracy"]["ci95"] is None
    for name in ("accuracy", "macro_f1"):
        low, high = told[name]["interval"]
        assert 0.1 < high - low < 0.4  # of 60 texts
    assert (
        "the interval and that of differences are for other texts"
        in comparison_table(told | {"support_noise": 0.0}).caption
    )


def test_what_is_scored_is_the_classifier_that_is_saved(tuned, task, tmp_path):
    result = tuned
    last = result.episodes[1]
    queries = [task.texts[place] for place in last.query.flatten().tolist()]
    classifier = result.scored.classifier
    assert classifier.labels == tuple(task.classes[label] for label in last.classes[0].tolist())
    assert torch.equal(classifier.logits(queries), result.evaluation.logits[1])
    classifier.save_pretrained(tmp_path / "adapted")
    assert torch.equal(TextClassifier.from_pretrained(tmp_path / "adapted").logits(queries), classifier.logits(queries))


def test_the_results_tell_the_stage_and_each_decision(tuned, task):
    result = tuned
    told = build_results(task, "centroid", result)
    assert told["strategy"] == {
        "support_texts": {"smallest": 24, "largest": 24},
        "stage": "lora",
        "reason": "lora was asked for (strategy=lora).",
        "asked": "lora",
        "final_stage": "lora",
        "protocol": "fixed_test",
        "classes": "test",
    }
    assert told["adaptation"]["kept"] == {"lora": 2}
    assert told["adaptation"]["supports"] == 2
    assert all(each["learner_held_out"] <= each["held_out"]["after"] for each in told["adaptation"]["each"])
    assert told["queries"] == 10
    assert told["episodes"] == 2
    assert told["temperature"] == pytest.approx(float(result.evaluation.temperature.mean()))
    table = comparison_table(told | {"support_noise": 0.0})
    assert list(table.columns[0].cells) == ["centroid + lora", WITHOUT]
    assert "2 supports beside one test part of 10 texts per class" in table.caption


def test_where_tuning_does_not_pay_the_learner_stays(task, encoder):
    tuners = {"head": replace(TUNERS["head"], margin=1e6)}
    result = run(task, encoder, shots=8, tuners=tuners)
    assert result.plan.final_stage.name == "head"
    assert [details["stage"] for details in result.scored.adaptations] == ["prototypes"] * 2
    before = result.baselines[WITHOUT]
    assert torch.allclose(result.evaluation.logits, before.logits, atol=1e-5)
    assert torch.allclose(result.evaluation.intra_class_distance, before.intra_class_distance, atol=1e-5)
    assert result.scored.classifier is None


def test_where_the_learner_does_better_on_what_is_held_out_it_stays(task, encoder, monkeypatch):
    monkeypatch.setattr("fewshot.adaptation.final_stage.held_out_accuracy", lambda *given: 1.0)
    result = run(task, encoder, shots=8)
    assert [details["stage"] for details in result.scored.adaptations] == ["prototypes"] * 2
    assert torch.allclose(result.evaluation.logits, result.baselines[WITHOUT].logits, atol=1e-5)
    assert result.scored.classifier is None


def test_after_its_minutes_no_other_support_is_begun(task, encoder, caplog, monkeypatch):
    original = HeadTuner.fit
    monkeypatch.setattr(HeadTuner, "fit", lambda *given: (time.sleep(0.1), original(*given))[1])
    with caplog.at_level("INFO"):
        result = run(task, encoder, shots=4, supports=5, minutes=0.15 / 60)
    assert 1 <= len(result.episodes) < 5
    assert len(result.baselines[WITHOUT].logits) == len(result.episodes)
    assert "(minutes= gives it more time)" in caplog.text


def test_a_head_starts_from_the_learners_projection(task, encoder, monkeypatch):
    monkeypatch.setattr(Comparison, "pays", lambda *given: True)
    monkeypatch.setattr("fewshot.adaptation.final_stage.held_out_accuracy", lambda *given: 0.0)

    def far(dim):
        learner = Prototypical(dim)
        with torch.no_grad():
            learner.projection.weight.copy_(torch.randn(dim, dim, generator=torch.Generator().manual_seed(0)))
        return learner

    tuners = {"head": replace(TUNERS["head"], margin=0.0)}
    plain, moved = (run(task, encoder, learner, shots=8, tuners=tuners) for learner in (Prototypical, far))
    assert not torch.equal(plain.baselines[WITHOUT].logits, moved.baselines[WITHOUT].logits)
    for result in (plain, moved):
        assert torch.equal(
            result.scored.classifier.classifier.projection.weight, result.model.learner.projection.weight
        )


def test_all_classes_are_scored_and_none_is_trained_on(task, encoder):
    result = run(task, encoder, Prototypical, classes="all", shots=1, label_names=True)
    assert result.evaluation.logits.shape == (2, 60, 6)
    assert result.trained.history.steps == 0
    assert float(result.model.learner.temperature) == 1.0
    assert "calibrate" not in result.timings


def two_classes(task):
    parts = {"train": (), "valid": (), "test": (0, 1)}
    return Task("two", task.texts, task.labels % 2, ("a", "b"), ("warm", "cold"), parts, "01")


def test_two_classes_are_enough_to_tell_apart(task, encoder):
    two = two_classes(task)
    with pytest.raises(ConfigError, match=r"has 2 classes, but 4 are needed for classes=test.* Set classes=all"):
        run(two, encoder, Prototypical)
    result = run(two, encoder, Prototypical, classes="all", shots=1)
    assert result.evaluation.logits.shape[-1] == 2


def test_no_texts_are_needed_with_label_names(task, encoder):
    for settings in ({"shots": 0}, {"shots": 4, "strategy": "zero_shot"}):
        result = run(task, encoder, Prototypical, classes="all", label_names=True, **settings)
        assert result.episodes.support.shape == (1, 6, 0)
        assert result.evaluation.logits.shape == (1, 60, 6)
        assert bool(result.evaluation.logits.isfinite().all())


def test_a_class_with_fewer_texts_than_shots_lends_what_it_has(task, encoder):
    result = run(task, encoder, shots=60)
    assert result.plan.rung.name == "attention"  # no class has more than 30 beside the test part
    assert "No class has more of the 60" in result.plan.rung.reason
    assert result.episodes.support.shape == (1, 4, 30)  # and every support would be the same
    noisy = replace(SETTINGS, shots=60, support_noise=0.5)
    part = replace(task, texts=task.texts[:-3], labels=task.labels[:-3])
    with pytest.raises(ConfigError, match="noise needs equal sizes"):
        experiment(part, encoder, Centroid, TRAINER, noisy, tuners=TUNERS)


def test_checkpoints_of_each_support_have_their_own_place(task, encoder, tmp_path):
    tuners = TUNERS | {"lora": quick("lora", epochs=2.0, checkpoint_seconds=0.0)}
    first = run(task, encoder, strategy="lora", tuners=tuners, store=Store(checkpoints=tmp_path))
    assert len([path for path in tmp_path.rglob("*") if path.is_dir() and "adaptation-lora-" in path.name]) == 2
    store = Store(checkpoints=tmp_path, resume=True)
    again = run(task, encoder, strategy="lora", tuners=tuners, store=store)
    assert torch.equal(first.evaluation.logits, again.evaluation.logits)


def test_what_takes_classes_that_there_are_not_is_refused(task, encoder):
    with pytest.raises(ConfigError, match=r"trainable=lora with classes=all.*=none, or classes=test\.$"):
        run(task, encoder, trainable=LoRA(), classes="all")
    with pytest.raises(ConfigError, match=r"Set trainable=none\.$"):
        run(two_classes(task), encoder, trainable=LoRA(), classes="all")


def test_the_support_is_handed_over_as_a_user_would(task):
    from fewshot.episodes.frozen import fixed_test_episodes

    episode = fixed_test_episodes(task, (2, 3), None, 3, 5, 1)
    support = labelled_support(task, episode, label_names=True)
    assert support.labels == support.label_names == task.classes[2:4]
    assert support.classes.tolist() == [0, 0, 0, 1, 1, 1]
    assert [task.texts.index(text) for text in support.texts] == episode.support.flatten().tolist()
    assert labelled_support(task, episode, label_names=False).label_names is None
