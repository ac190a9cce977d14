"""A whole experiment whose encoder is meta-trained first."""

import dataclasses
import json
from statistics import mean

import pytest
import torch
from fewshot.meta_training import training_files
from fewshot.plan import trains_encoder
from fewshot.preparing import check_unseen
from fewshot.settings import Settings

from fewshot.encoders import Full, LoRA, SentenceTransformerEncoder
from fewshot.errors import ConfigError
from fewshot.experiment import encode_task, meta_train_encoder, run_experiment, valid_episodes
from fewshot.learners import LEARNERS, MAML, Prototypical
from fewshot.report.results import build_results, write_results
from fewshot.training import EncoderTrainer, MetaTrainer, TrainingFolders
from tests.synthetic import small_task
from tests.tiny_models import save_sentence_transformer
from tests.training.first_word import first_word_task

SETTINGS = Settings(ways=5, shots=1, queries=3, episodes=40, label_names=False, baselines=("centroid", "prototypical"))
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
    return run_experiment(task, encoder, Prototypical, trainer, SETTINGS, encoder_trainer=TRAINER, trainable=Full())


def test_the_learner_has_the_trained_encoder_and_the_baselines_the_published_one(result, task, encoder):
    frozen = run_experiment(task, encoder, Prototypical, MetaTrainer(steps=0), SETTINGS)
    assert result.evaluation.accuracy.mean > frozen.evaluation.accuracy.mean + 0.2
    assert torch.equal(result.baselines["centroid"].logits, frozen.baselines["centroid"].logits)
    assert list(result.baselines) == ["centroid", "prototypical, frozen encoder"]
    assert list(frozen.baselines) == ["centroid"]


def test_the_scores_of_each_episode_are_those_of_who_is_named(result, task, tmp_path):
    results = build_results(task, {}, "prototypical", SETTINGS, result)
    write_results(tmp_path, results, result)
    told = json.loads((tmp_path / "episode_accuracies.json").read_text())
    assert list(told) == ["prototypical", "centroid", "prototypical, frozen encoder"]
    for name, accuracies in told.items():
        assert mean(accuracies) == pytest.approx(results["baselines"].get(name, results)["accuracy"]["mean"])


def test_the_encoder_is_selected_by_right_labels_whatever_the_noise(task, encoder):
    noisy = dataclasses.replace(SETTINGS, shots=5, support_noise=0.2, episodes=4)
    trainer = dataclasses.replace(TRAINER, steps=1)
    result = run_experiment(
        task,
        encoder,
        LEARNERS["prototypical"],
        MetaTrainer(steps=0),
        noisy,
        encoder_trainer=trainer,
        trainable=Full(),
    )
    assert result.encoder_training.history.steps == 1


def test_weights_that_have_seen_what_is_scored_are_named(result, task, tmp_path, caplog):
    result.encoder_training.trainable.save(tmp_path / "encoder")
    loaded = SentenceTransformerEncoder(result.encoder.model, cache=None, dtype="float32", weights=tmp_path / "encoder")
    assert loaded.trained.seen == {
        "task": task.name,
        "split": task.split,
        "classes": [task.classes[label] for part in ("train", "valid") for label in task.parts[part]],
    }
    check_unseen(task, loaded, SETTINGS)
    assert not caplog.records
    swapped = dataclasses.replace(task, parts={**task.parts, "test": task.parts["train"][:2]})
    check_unseen(swapped, loaded, SETTINGS)
    check_unseen(task, loaded, dataclasses.replace(SETTINGS, classes="all"))
    first, everything = (record.getMessage() for record in caplog.records)
    assert "trained or selected on 2 of the classes that are scored" in first
    assert f"on {len(task.parts['train']) + len(task.parts['valid'])} of the classes" in everything


def test_weights_that_are_trained_already_are_not_trained_again_by_auto(result, encoder):
    large = small_task((10, 5, 3))
    assert trains_encoder(result.encoder, "auto", SETTINGS, large, Prototypical(4)) is None
    assert trains_encoder(encoder, "auto", SETTINGS, large, Prototypical(4)) == Full()


def test_results_tell_what_was_trained_and_what_it_gave(result, task, encoder):
    told = build_results(task, {}, "prototypical", SETTINGS, result)["encoder_training"]
    assert told["trainable"] == "full"
    assert told["layers"] == "all"
    assert 0 < told["parameter_share"] < 1
    assert told["valid_accuracy"] > told["valid_accuracy_before"]
    assert told["fingerprint"] == result.encoder.fingerprint != encoder.fingerprint
    assert told["kept"] == 1.0


def test_a_saved_encoder_gives_the_features_of_the_run(result, task, encoder, tmp_path):
    result.encoder_training.trainable.save(tmp_path / "encoder")
    again = encoder.replace(weights=tmp_path / "encoder")
    features = [encode_task(task, used, label_names=False).texts for used in (result.encoder, again)]
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
        settings = dataclasses.replace(SETTINGS, resume=resume)
        return meta_train_encoder(
            task, encoder, Full(), Prototypical, trainer, settings, TrainingFolders(tmp_path / home)
        )

    whole = train(False, "whole")
    with monkeypatch.context() as patch:
        patch.setattr(EncoderTrainer, "_draw", _interrupted(EncoderTrainer._draw, at=13))
        with pytest.raises(KeyboardInterrupt):
            train(False, "again")
    resumed = train(True, "again")
    assert resumed.history == whole.history
    assert resumed.encoder.fingerprint == whole.encoder.fingerprint


def test_valid_episodes_are_drawn_from_few_texts_when_asked(task):
    batches = valid_episodes(task, SETTINGS, most_texts=7)
    used = torch.cat([torch.cat([b.support.flatten(), b.query.flatten()]) for b in batches]).unique()
    assert len(used) == 5 * 7


def test_maml_through_the_encoder_reads_tokens_and_needs_no_training_of_the_encoder_before(task, encoder):
    settings = dataclasses.replace(SETTINGS, episodes=3, baselines=())
    trainer = MetaTrainer(steps=2, evaluate_every=2, episodes_per_step=1, ways=4, shots=[1], queries=1)
    learner = lambda dim: MAML(dim, adapts="encoder", inner_steps=1)  # noqa: E731
    result = run_experiment(task, encoder, learner, trainer, settings, trainable="auto")
    assert result.encoder_training is None
    assert result.history.steps == 2
    assert len(result.evaluation.accuracies) == 3


def test_what_an_inner_loop_adapts_of_an_encoder_has_a_part_in_the_name_of_its_checkpoints(task, encoder, tmp_path):
    def folder(adapts, trainable=None):
        learner = MAML(encoder.encode(["a"]).shape[1], adapts=adapts)
        learner.attach(encoder, trainable)
        given = (TrainingFolders(tmp_path), learner, task, encoder, MetaTrainer(), SETTINGS)
        return training_files(*given).checkpoints.folder

    assert folder("lora") == folder("lora") == folder("lora", LoRA())
    assert len({folder("lora"), folder("lora", LoRA(alpha=32.0)), folder("lora", LoRA(dropout=0.1))}) == 3
    assert folder("head", LoRA(alpha=32.0)) == folder("head")


def test_too_few_classes_are_refused(task, encoder):
    parts = {"train": task.parts["train"], "valid": task.parts["valid"][:1], "test": task.parts["test"]}
    with pytest.raises(ConfigError, match="1 valid classes"):
        meta_train_encoder(dataclasses.replace(task, parts=parts), encoder, Full(), Prototypical, TRAINER, SETTINGS)


def test_a_learned_head_of_so_many_classes_is_selected_on_episodes_of_as_many(task, encoder):
    trainer = MetaTrainer(steps=2, evaluate_every=2, ways=3, shots=[1])
    settings = dataclasses.replace(SETTINGS, ways=3, baselines=())
    result = run_experiment(task, encoder, lambda dim: MAML(dim, head_init="learned", ways=3), trainer, settings)
    assert result.history.steps == 2


def test_auto_trains_quickly_and_counts_what_it_encodes(task, encoder):
    trainer = MetaTrainer(steps=4, evaluate_every=2, shots=[1])
    told = run_experiment(task, encoder, Prototypical, trainer, SETTINGS, quick_trainer=TRAINER, trainable="auto")
    asked = run_experiment(task, encoder, Prototypical, trainer, SETTINGS, encoder_trainer=TRAINER, trainable=Full())
    assert told.encoder_training.history == asked.encoder_training.history
    assert torch.equal(told.evaluation.logits, asked.evaluation.logits)
    frozen = run_experiment(task, encoder, LEARNERS["ridge"], trainer, SETTINGS, trainable="auto")
    assert frozen.encoder_training is None
    assert frozen.encoder is encoder
