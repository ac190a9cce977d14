"""Augmentation in a run: which texts are augmented, who gets what, and what is told."""

import csv
import logging
from dataclasses import replace

import pytest
import torch

from fewshot.augment import AugmentationPolicy, SemanticAugmentation
from fewshot.errors import ConfigError
from fewshot.evaluation import evaluate
from fewshot.experiment.augmentation import AugmentationPhase, for_part
from fewshot.experiment.episodes import TaskEncoder, valid_episodes
from fewshot.experiment.protocol import Protocol
from fewshot.experiment.result import WITHOUT_AUGMENTATION
from fewshot.learners import MAML, AttentionPrototypical, Centroid, Prototypical
from fewshot.report.augmentation import COLUMNS, augmentation_json, write_table
from fewshot.tasks.task import normalise
from fewshot.training import EncoderMAMLTrainer, MetaTrainer, Store
from tests.augment.sources import Listed, Prefixes
from tests.experiments import experiment
from tests.fakes import FakeEncoder
from tests.synthetic import small_task

SETTINGS = Protocol(ways=3, shots=2, queries=4, episodes=30, baselines=("centroid",))
TRAINER = MetaTrainer(steps=6, episodes_per_step=2, ways=4, shots=(1, 2), queries=2, evaluate_every=3)
WIDE = {"lowest_cosine": 0.0, "highest_cosine": 0.999, "duplicate_cosine": 0.999, "margin": -2.0}


@pytest.fixture(scope="module")
def task():
    """Texts share words with their class and with others, so that features overlap."""
    texts = [f"{label} w{(7 * c + n) % 11} w{n % 5}" for c, label in enumerate(NAMES) for n in range(12)]
    return small_task((6, 4, 5), texts=tuple(texts), label_names=NAMES)


NAMES = tuple(f"class{letter}" for letter in "abcdefghijklmno")


def augmentation(*sources, **settings) -> SemanticAugmentation:
    chosen = sources or (Prefixes(("a", "the")),)
    return SemanticAugmentation(
        sources={source.name: source for source in chosen}, **(WIDE | {"per_class": 10} | settings)
    )


def run(task, made=None, learner=Centroid, settings=SETTINGS, **more):
    return experiment(task, FakeEncoder(dim=24), learner, TRAINER, settings, augmentation=made, **more)


def asked_of(source, task) -> set[int]:
    """Class ids of all texts that a source was asked to augment."""
    places = {text: place for place, text in enumerate(task.texts)}
    return {int(task.labels[places[text]]) for asked in source.asked for text in asked.texts}


@pytest.fixture(scope="module")
def result(task):
    return run(task, augmentation())


def test_the_support_is_augmented_and_the_same_learner_without_is_beside_it(task, result):
    plain = run(task)

    assert list(result.baselines) == [WITHOUT_AUGMENTATION]
    assert torch.equal(result.baselines[WITHOUT_AUGMENTATION].logits, plain.evaluation.logits)
    assert result.baselines[WITHOUT_AUGMENTATION].temperature == plain.evaluation.temperature
    assert not torch.equal(result.evaluation.logits, plain.evaluation.logits)
    assert result.episodes.sha256() == plain.episodes.sha256()
    assert "augment" in result.timings
    assert "augment" not in plain.timings
    assert plain.augmentation is None


def test_the_scores_are_those_of_features_with_variants(task, result):
    encoder = FakeEncoder(dim=24)
    how = for_part(augmentation(), task, SETTINGS, "test")
    own = TaskEncoder(task, True)(encoder)
    features, _ = AugmentationPhase(task, SETTINGS, encoder, own, 2).support(how, "test", result.episodes)

    again = evaluate(result.model.learner, features, result.episodes)

    assert torch.allclose(again.logits, result.evaluation.logits, atol=1e-5)


def test_only_texts_that_stand_in_a_support_are_augmented(task, result):
    new_texts = result.augmentation.new_texts

    for part, texts in (("valid", task.parts["valid"]), ("test", task.parts["test"])):
        made = new_texts[part]
        assert {int(task.labels[place]) for place in made.places} <= set(texts)
    test = result.episodes
    assert set(new_texts["test"].places) == set(test.support.unique().tolist())
    assert set(new_texts) == {"valid", "test"}


def test_no_new_text_equals_any_text_of_the_task(task):
    other = task.texts[-1].upper()
    source = Listed({text: [other, f"some {text}"] for text in task.texts})

    new_texts = run(task, augmentation(source)).augmentation.new_texts

    kept = {normalise(one.text) for made in new_texts.values() for row in made.bank.kept() for one in row}
    assert kept
    assert not kept & {normalise(text) for text in task.texts}
    assert new_texts["test"].bank.counts(["listed"])["listed"]["task_text"] == len(new_texts["test"].places)


def test_train_texts_are_augmented_where_they_are_wanted(task):
    source = Prefixes(("a", "the", "some"))
    made = augmentation(source, use=("meta_training",), train_texts=3, train_variants=2)

    result = run(task, made, Prototypical)

    assert asked_of(source, task) == set(task.parts["train"])
    bank = result.augmentation.new_texts["train"].bank
    assert len(bank.texts) == 3 * 6
    assert {len(row) for row in bank.kept()} == {2}
    plain = run(task, None, Prototypical)
    assert torch.equal(result.baselines[WITHOUT_AUGMENTATION].logits, plain.evaluation.logits)
    assert result.trained.history.losses != plain.trained.history.losses


def test_both_uses_at_once(task):
    found = run(task, augmentation(use=("support", "meta_training")), AttentionPrototypical).augmentation

    assert set(found.new_texts) == {"train", "valid", "test"}


def test_a_training_with_new_texts_has_its_own_checkpoints(task, tmp_path):
    trainer = replace(TRAINER, checkpoint_seconds=0.0)
    for made in (None, augmentation(use=("meta_training",)), augmentation(use=("meta_training",), weight=0.25)):
        store, protocol = Store(checkpoints=tmp_path / "all"), replace(SETTINGS, baselines=())
        experiment(task, FakeEncoder(dim=24), Prototypical, trainer, protocol, store, augmentation=made)

    assert len(list((tmp_path / "all").iterdir())) == 3


def test_the_class_of_a_text_is_told_unless_labels_are_wrong(task):
    source = Prefixes()
    run(task, augmentation(source))
    told = [asked for asked in source.asked if task.texts.index(asked.texts[0]) >= 12 * 10]
    assert told
    for asked in told:
        assert asked.class_names == NAMES[10:]
        assert [asked.class_names[c] for c in asked.classes] == [text.split()[0] for text in asked.texts]

    source = Prefixes()
    run(task, augmentation(source), settings=replace(SETTINGS, support_noise=0.5))
    told = [asked for asked in source.asked if task.texts.index(asked.texts[0]) >= 12 * 10]
    assert {asked.classes for asked in told} == {()}

    source = Prefixes()
    run(task, augmentation(source), settings=replace(SETTINGS, label_names=False))
    assert {(asked.classes, asked.class_names) for asked in source.asked} == {((), ())}


def test_synonyms_of_the_task_are_those_of_the_text(task):
    source = Prefixes()
    named = replace(task, synonyms=tuple((f"other name of {text}",) for text in task.texts))

    run(named, augmentation(source))

    assert all(asked.synonyms == tuple((f"other name of {text}",) for text in asked.texts) for asked in source.asked)


def test_the_texts_of_a_class_come_to_per_class(result):
    json = augmentation_json(result.augmentation)

    assert json["made"]["test"]["texts_per_class"] == 6  # two texts, each with two prefixes
    assert json["made"]["test"]["sources"]["prefixes"]["outside_margin"] == 0


def test_valid_texts_have_fewer_new_ones(task):
    new_texts = run(task, augmentation(Prefixes(), valid_variants=2)).augmentation.new_texts

    kept = {part: {len(row) for row in made.bank.kept()} for part, made in new_texts.items()}
    assert kept == {"valid": {2}, "test": {4}}  # (10 - 2) / 2


def test_the_margin_is_counted_as_the_features_count_it(task):
    result = run(task, augmentation(margin=0.3))
    batch, encoder = result.episodes, FakeEncoder(dim=24)

    own = TaskEncoder(task, True)(encoder)
    phase = AugmentationPhase(task, SETTINGS, encoder, own, 2)
    features, new_texts = phase.support(result.model.augmentation, "test", batch)
    kept = features.kept_variants(batch)
    share = augmentation_json(result.augmentation)["made"]["test"]["sources"]["prefixes"]["outside_margin"]
    assert 0.02 < share < 0.98
    assert share == pytest.approx(1 - float(kept.float().mean()))
    assert new_texts.texts_per_class == pytest.approx(2 + float(kept.sum()) / (30 * 3))


def test_the_table_has_a_line_for_every_proposal(task, result, tmp_path):
    write_table(tmp_path / "augmented.tsv", result.augmentation, task)

    with open(tmp_path / "augmented.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == sum(2 * len(made.places) for made in result.augmentation.new_texts.values())
    places = {text: place for place, text in enumerate(task.texts)}
    for row in rows:
        assert row["label"] == task.classes[int(task.labels[places[row["text"]]])]
        assert row["augmented"] in (f"a {row['text']}", f"the {row['text']}")
        assert float(row["cosine"]) < 0.999
    support = [row for row in rows if row["part"] == "test"]
    assert all(0 < int(row["within_margin"]) <= int(row["supports"]) for row in support)
    assert sum(int(row["supports"]) for row in support[::2]) == 30 * 3 * 2


def test_notes_of_sources_come_once(task, result):
    assert augmentation_json(result.augmentation)["notes"] == ["Prefixes: a, the."]


def run_with_policy(task, source, caplog, **settings):
    policy = AugmentationPolicy(weights=(0.5, 2.0), episodes=60)
    with caplog.at_level(logging.INFO, logger="fewshot"):
        return run(task, augmentation(*source, policy=policy, **settings))


def test_auto_turns_on_what_helps_on_valid_classes_and_says_so(task, caplog):
    helpful = Listed(
        {text: [f"{text.split()[0]} {text.split()[0]} {text.split()[0]}"] for text in task.texts}, "helpful"
    )
    useless = Listed({text: [f"thing {text}"] for text in task.texts}, "useless")

    result = run_with_policy(task, (helpful, useless), caplog)

    json = augmentation_json(result.augmentation)
    assert len(json["decision"]["trials"]) == 3 * 2
    assert json["decision"]["episodes"] == 60
    chosen = json["decision"]["chosen"]
    assert "helpful" in chosen["sources"]
    assert (json["sources"], json["weight"], json["support"]) == (chosen["sources"], chosen["weight"], True)
    assert json["settings"]["policy"]["episodes"] == 60
    assert json["settings"]["sources"] == ["helpful", "useless"]
    assert any(message.startswith("Support augmented by") for message in caplog.messages)
    assert WITHOUT_AUGMENTATION in result.baselines


def test_auto_turns_off_what_does_not_help(task, caplog):
    harmful = Listed({text: [f"{NAMES[(i // 12 + 1) % 15]} {text.split()[1]}"] for i, text in enumerate(task.texts)})

    result = run_with_policy(task, (harmful,), caplog)

    json = augmentation_json(result.augmentation)
    assert json["decision"]["chosen"] is None
    assert (json["sources"], json["support"], json["made"]) == ([], False, {})
    assert WITHOUT_AUGMENTATION not in result.baselines
    assert torch.equal(result.evaluation.logits, run(task).evaluation.logits)
    assert any(message.startswith("No augmentation of the support") for message in caplog.messages)


def test_the_decision_looks_at_valid_classes_only(task, caplog):
    source = Prefixes()
    policy = AugmentationPolicy(weights=(1.0,), episodes=20)
    made = augmentation(source, policy=policy, valid_texts=6)
    encoder, learner = FakeEncoder(dim=24), Centroid(24)

    features, like = TaskEncoder(task, True)(encoder), valid_episodes(task, SETTINGS)[0]
    AugmentationPhase(task, SETTINGS, encoder, features, 2).decide(made, learner, like)

    assert asked_of(source, task) == set(task.parts["valid"])
    assert len({text for asked in source.asked for text in asked.texts}) <= 4 * (2 + 5)


def test_what_cannot_be_augmented_is_refused_before_anything_is_encoded(task):
    encoder = FakeEncoder(dim=24)
    encoder.encode = lambda texts: pytest.fail("encoded")

    with pytest.raises(ConfigError, match=r"reads texts and no features. Set augment=none, or training=episodic"):
        experiment(task, encoder, MAML, EncoderMAMLTrainer(), SETTINGS, augmentation=augmentation(), trainable="auto")
    with pytest.raises(ConfigError, match=r"Got augment\.per_class=2 with shots=2"):
        experiment(task, encoder, Centroid, TRAINER, SETTINGS, augmentation=augmentation(per_class=2))
    auto = augmentation(policy=AugmentationPolicy())
    with pytest.raises(ConfigError, match=r"1 valid class to decide on.* Set augment=semantic"):
        experiment(small_task((6, 1, 5)), encoder, Centroid, TRAINER, SETTINGS, augmentation=auto)


def test_a_source_that_makes_nothing_is_a_warning_and_no_augmentation(task, caplog):
    with caplog.at_level(logging.WARNING, logger="fewshot"):
        result = run(task, augmentation(Listed({})))

    assert [message for message in caplog.messages if "No new text of" in message]
    assert torch.equal(result.evaluation.logits, result.baselines[WITHOUT_AUGMENTATION].logits)


def test_auto_with_sources_that_make_nothing_augments_nothing(task, caplog):
    found = run_with_policy(task, (Listed({}),), caplog).augmentation
    assert (found.support, found.decision) == (None, None)
    assert "no source made a text that the filter keeps" in caplog.text


def test_unequal_supports_are_augmented_too(task):
    result = run(task, augmentation(), settings=replace(SETTINGS, realistic=True))

    made = result.augmentation.new_texts["test"]
    assert made.texts_per_class == pytest.approx(3 * float(result.episodes.support_mask.float().sum()) / 90)
