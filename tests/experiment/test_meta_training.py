"""A whole experiment whose encoder is meta-trained first."""

import dataclasses
import json
from statistics import mean

import pytest
import torch

from fewshot.encoders import Full, LoRA, SentenceTransformerEncoder
from fewshot.errors import ConfigError
from fewshot.experiment.checks import warn_of_seen_classes
from fewshot.experiment.episodes import TaskEncoder, valid_episodes
from fewshot.experiment.plan import trainable_part
from fewshot.experiment.protocol import Protocol
from fewshot.experiment.trainings import train_encoder
from fewshot.learners import LEARNERS, MAML, Prototypical
from fewshot.learners.maml.encoder_maml import EncoderMAML
from fewshot.report.advice import advice
from fewshot.report.results import build_results, write_results
from fewshot.training import EncoderMAMLTrainer, EncoderTrainer, MetaTrainer, Store
from tests.experiments import experiment, recipe
from tests.synthetic import small_task
from tests.tiny_models import save_sentence_transformer
from tests.training.first_word import first_word_task

SETTINGS = Protocol(ways=5, shots=1, queries=3, episodes=40, label_names=False, baselines=("centroid", "prototypical"))
TRAINER = EncoderTrainer(
    steps=60, learning_rate=1e-2, ways=8, evaluate_every=20, precision="float32", interpolation=[1.0]
)


@pytest.fixture(scope="module")
def task():
    return first_word_task()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = save_sentence_transformer(tmp_path_factory.mktemp("experiment"))
    return SentenceTransformerEncoder(str(folder), cache=None, dtype="float32")


@pytest.fixture(scope="module")
def result(task, encoder):
    trainer = MetaTrainer(steps=4, evaluate_every=2, shots=[1])
    return experiment(task, encoder, Prototypical, trainer, SETTINGS, encoder_trainer=TRAINER, trainable=Full())


def test_the_learner_has_the_trained_encoder_and_the_baselines_the_published_one(result, task, encoder):
    frozen = experiment(task, encoder, Prototypical, MetaTrainer(steps=0), SETTINGS)
    assert result.evaluation.accuracy.mean > frozen.evaluation.accuracy.mean + 0.2
    assert torch.equal(result.baselines["centroid, frozen encoder"].logits, frozen.baselines["centroid"].logits)
    names = ["centroid, frozen encoder", "centroid, trained encoder", "prototypical, frozen encoder"]
    assert list(result.baselines) == names
    gain, learner = (result.evaluation.difference(result.baselines[name]).mean for name in names[:2])
    shares = f"brought {100 * (gain - learner):+.1f} and the learner {100 * learner:+.1f}."
    assert any(line.endswith(shares) for line in advice(task, result))
    assert list(frozen.baselines) == ["centroid"]


def test_the_scores_of_each_episode_are_those_of_who_is_named(result, task, tmp_path):
    results = build_results(task, "prototypical", result)
    write_results(tmp_path, results, result)
    told = json.loads((tmp_path / "episode_accuracies.json").read_text())
    assert list(told) == ["prototypical", *result.baselines]
    for name, accuracies in told.items():
        assert mean(accuracies) == pytest.approx(results["baselines"].get(name, results)["accuracy"]["mean"])


def test_the_encoder_is_selected_by_right_labels_whatever_the_noise(task, encoder):
    noisy = dataclasses.replace(SETTINGS, shots=5, support_noise=0.2, episodes=4)
    trainer = dataclasses.replace(TRAINER, steps=1)
    result = experiment(
        task,
        encoder,
        LEARNERS["prototypical"],
        MetaTrainer(steps=0),
        noisy,
        encoder_trainer=trainer,
        trainable=Full(),
    )
    assert result.trained.encoder_training.history.steps == 1


def test_weights_that_have_seen_what_is_scored_are_named(result, task, tmp_path, caplog):
    result.trained.encoder_training.save(tmp_path / "encoder")
    loaded = SentenceTransformerEncoder(
        result.model.encoder.model, cache=None, dtype="float32", weights=tmp_path / "encoder"
    )
    assert {key: loaded.trained.seen[key] for key in ("task", "split")} == {"task": task.name, "split": task.split}
    asked = SETTINGS.resolved(task)
    warn_of_seen_classes(task, loaded, asked)
    assert not caplog.records
    renamed = dataclasses.replace(task, name="other", parts={**task.parts, "test": task.parts["train"][:2]})
    warn_of_seen_classes(renamed, loaded, asked)
    warn_of_seen_classes(task, loaded, dataclasses.replace(asked, classes="all"))
    first, everything = (record.getMessage() for record in caplog.records)
    n_texts = int(torch.isin(task.labels, torch.tensor(task.parts["train"][:2])).sum())
    assert f"trained or selected on {n_texts + 2} of the {n_texts + 2} texts and label names that are scored" in first
    assert "texts and label names that are scored" in everything


def test_weights_that_are_trained_already_are_not_trained_again_by_auto(result, encoder):
    large = small_task((10, 5, 3))
    assert trainable_part("auto", result.model.encoder, Prototypical(4), large, SETTINGS) is None
    assert trainable_part("auto", encoder, Prototypical(4), large, SETTINGS) == Full()


def test_results_tell_what_was_trained_and_what_it_gave(result, task, encoder):
    told = build_results(task, "prototypical", result)["encoder_training"]
    assert told["trainable"] == "full"
    assert told["layers"] == "all"
    assert 0 < told["parameter_share"] < 1
    assert told["valid_accuracy"] > told["valid_accuracy_before"]
    assert told["fingerprint"] == result.model.encoder.fingerprint != encoder.fingerprint
    assert told["kept"] == 1.0


def test_a_saved_encoder_gives_the_features_of_the_run(result, task, encoder, tmp_path):
    result.trained.encoder_training.save(tmp_path / "encoder")
    again = encoder.replace(weights=tmp_path / "encoder")
    encoded = TaskEncoder(task, label_names=False)
    features = [encoded(used).texts for used in (result.model.encoder, again)]
    assert torch.equal(*features)


def _interrupted(draw, at):
    def wrapped(self, train, step, *more):
        if step == at:
            raise KeyboardInterrupt
        return draw(self, train, step, *more)

    return wrapped


def test_an_interrupted_training_goes_on_to_the_same_bits(task, encoder, tmp_path, monkeypatch):
    trainer = dataclasses.replace(TRAINER, steps=20, evaluate_every=5, checkpoint_seconds=0.0)

    def train(resume, home):
        how = recipe(encoder, Prototypical, MetaTrainer(), encoder_trainer=trainer, trainable=Full())
        store = Store(checkpoints=tmp_path / home, resume=resume)
        return train_encoder(task, how.plan(task, SETTINGS), store)

    whole = train(False, "whole")
    with monkeypatch.context() as patch:
        patch.setattr(EncoderTrainer, "_draw", _interrupted(EncoderTrainer._draw, at=13))
        with pytest.raises(KeyboardInterrupt):
            train(False, "again")
    resumed = train(True, "again")
    assert resumed.history == whole.history
    assert resumed.encoder.fingerprint == whole.encoder.fingerprint


def test_valid_episodes_are_drawn_from_few_texts_when_asked(task):
    batches = valid_episodes(task, SETTINGS, max_texts=7)
    used = torch.cat([torch.cat([b.support.flatten(), b.query.flatten()]) for b in batches]).unique()
    assert len(used) == 5 * 7


MAML_TRAINER = EncoderMAMLTrainer(steps=2, evaluate_every=2, episodes_per_step=1, ways=4, shots=[1], queries=1)


def one_step(dim):
    return MAML(dim, inner_steps=1)


@pytest.fixture
def few_valid_episodes(monkeypatch):
    monkeypatch.setattr("fewshot.experiment.meta_training.FEWER", 50)


@pytest.mark.slow
@pytest.mark.usefixtures("few_valid_episodes")
def test_maml_through_the_encoder_is_meta_trained_calibrated_and_scored(task, encoder):
    protocol = dataclasses.replace(SETTINGS, episodes=3, baselines=("centroid", "prototypical"))
    result = experiment(task, encoder, one_step, MAML_TRAINER, protocol, trainable=Full())
    assert result.trained.encoder_training is None
    assert result.trained.history.steps == 2
    assert len(result.evaluation.accuracies) == 3
    assert float(result.model.learner.temperature) != 1
    assert list(result.baselines) == ["centroid", "prototypical"]
    told = build_results(task, "maml", result)
    assert 0 < told["intra_class_distance"]["mean"] < 1


@pytest.mark.slow
@pytest.mark.usefixtures("few_valid_episodes")
def test_what_an_inner_loop_adapts_of_an_encoder_has_a_part_in_the_name_of_its_checkpoints(task, encoder, tmp_path):
    trainer = dataclasses.replace(MAML_TRAINER, steps=1, evaluate_every=1, checkpoint_seconds=0.0)
    protocol = dataclasses.replace(SETTINGS, episodes=1, baselines=())

    def count(trainable):
        experiment(task, encoder, one_step, trainer, protocol, Store(checkpoints=tmp_path), trainable=trainable)
        return len(list(tmp_path.iterdir()))

    assert [count(part) for part in (LoRA(), LoRA(), LoRA(alpha=32.0), "auto")] == [1, 1, 2, 2]


@pytest.mark.usefixtures("few_valid_episodes")
@pytest.mark.parametrize("through_encoder", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_second_run_finds_what_was_trained_to_the_same_bits(task, encoder, tmp_path, caplog, through_encoder):
    caplog.set_level("INFO")
    short = dataclasses.replace(SETTINGS, episodes=2, baselines=("centroid", "prototypical"))
    learner, trainer = (one_step, MAML_TRAINER) if through_encoder else (Prototypical, MetaTrainer(steps=2, shots=[1]))
    encoder_trainer = dataclasses.replace(TRAINER, steps=20)

    def run():
        caplog.clear()
        store = Store(trainings=tmp_path)
        parts = {"trainable": Full(), "encoder_trainer": encoder_trainer}
        result = experiment(task, encoder, learner, trainer, short, store, **parts)
        return result, [line.split(": meta-trained on ")[0] for line in caplog.messages if "reuse=false" in line]

    (first, none), (second, found) = run(), run()
    learners = [Prototypical.title] if through_encoder else [Prototypical.title] * 2  # on the encoders of both
    assert (none, found) == ([], [EncoderMAML.title if through_encoder else "The encoder", *learners])
    assert torch.equal(first.evaluation.logits, second.evaluation.logits)
    for name, baseline in first.baselines.items():
        assert torch.equal(baseline.logits, second.baselines[name].logits)
    assert first.trained.history == second.trained.history


def test_too_few_classes_are_refused(task, encoder):
    parts = {"train": task.parts["train"], "valid": task.parts["valid"][:1], "test": task.parts["test"]}
    few = dataclasses.replace(task, parts=parts)
    with pytest.raises(ConfigError, match="1 valid classes"):
        experiment(few, encoder, Prototypical, MetaTrainer(), SETTINGS, encoder_trainer=TRAINER, trainable=Full())


def test_a_learned_head_of_so_many_classes_is_selected_on_episodes_of_as_many(task, encoder):
    trainer = MetaTrainer(steps=2, evaluate_every=2, ways=3, shots=[1])
    settings = dataclasses.replace(SETTINGS, ways=3, baselines=())
    result = experiment(task, encoder, lambda dim: MAML(dim, head_init="learned", ways=3), trainer, settings)
    assert result.trained.history.steps == 2


@pytest.mark.slow
def test_auto_trains_quickly_and_counts_what_it_encodes(task, encoder):
    trainer = MetaTrainer(steps=4, evaluate_every=2, shots=[1])
    told = experiment(task, encoder, Prototypical, trainer, SETTINGS, quick_trainer=TRAINER, trainable="auto")
    asked = experiment(task, encoder, Prototypical, trainer, SETTINGS, encoder_trainer=TRAINER, trainable=Full())
    assert told.trained.encoder_training.history == asked.trained.encoder_training.history
    assert torch.equal(told.evaluation.logits, asked.evaluation.logits)
    frozen = experiment(task, encoder, LEARNERS["ridge"], trainer, SETTINGS, trainable="auto")
    assert frozen.trained.encoder_training is None
    assert frozen.model.encoder is encoder
