"""A classifier becomes a small one: labels, calibration, evidence, folder."""

import logging
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from fewshot import FewShotClassifier, TextClassifier
from fewshot.distill import STUDENTS, ImitationSettings, StaticStudent, distill, distilled_encoder
from fewshot.distill.flow import best_temperature
from fewshot.encoders import SentenceTransformerEncoder, StaticEncoder
from fewshot.errors import ConfigError
from fewshot.training import Store
from tests.tiny_models import WORDS, save_sentence_transformer

KINDS = {"pain": "acute pain in the chest", "card": "lost card stolen", "loan": "new loan interest account"}
QUICK = StaticStudent(epochs=30.0, training=ImitationSettings(steps=150, evaluate_every=50, batch=64))


def made_texts(n_texts, seed, kinds=KINDS):
    """Texts of words of a kind and of others, and the kind of each."""
    draw = torch.Generator().manual_seed(seed)
    others, names, texts, labels = sorted(set(WORDS)), sorted(kinds), [], []
    for number in range(n_texts):
        name = names[number % len(names)]
        own = kinds[name].split()
        words = [own[int(torch.randint(len(own), (), generator=draw))] for _ in range(4)]
        words += [others[int(torch.randint(len(others), (), generator=draw))] for _ in range(2)]
        texts.append(" ".join(words))
        labels.append(name)
    return texts, labels


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return SentenceTransformerEncoder(str(save_sentence_transformer(tmp_path_factory.mktemp("teacher"))), cache=None)


@pytest.fixture(scope="module")
def teacher(encoder):
    return FewShotClassifier(encoder=encoder, label_names=None, reject=0.2).fit(*made_texts(30, 0))


@pytest.fixture(scope="module")
def student(teacher):
    return teacher.distill(made_texts(400, 1)[0], QUICK)


def test_the_student_gives_the_teachers_labels(teacher, student):
    texts, labels = made_texts(200, 2)
    same = (student.predict_proba(texts).argmax(1) == teacher.predict_proba(texts).argmax(1)).mean()
    right = sum(own == label for own, label in zip(teacher.model_.predict(texts), labels, strict=True)) / 200
    assert right > 0.6
    assert same > 0.75
    record = student.model_.details["distilled"]
    assert record["student"] == "static"
    assert record["n_texts"] + record["n_held"] == len(set(made_texts(400, 1)[0]) - set(made_texts(30, 0)[0]))
    assert 0.7 < record["agreement"] <= 1
    assert student.predict_proba(texts).sum(1) == pytest.approx(1)


def test_it_is_a_classifier_like_any_other(student, tmp_path):
    texts, _ = made_texts(20, 3)
    model = student.model_
    assert isinstance(model.encoder, StaticEncoder)
    assert model.rejection is not None
    assert all(len(labels) for labels in student.predict_set(texts, 0.8))
    explained = student.explain(texts[0])
    assert explained.contributions[0].text in made_texts(30, 0)[0]
    assert sum(one.weight for one in explained.contributions) + explained.rest == pytest.approx(
        explained.logit, abs=1e-3
    )
    model.save_pretrained(tmp_path / "small")
    again = TextClassifier.from_pretrained(tmp_path / "small")
    assert again.logits(texts).equal(model.logits(texts))
    assert (tmp_path / "small" / "changed.safetensors").stat().st_size < 7e6
    more = FewShotClassifier()._fitted(again).partial_fit(["tax form red", "form tax blue"], ["tax", "tax"])
    assert more.predict(["tax form green"]).tolist() == ["tax"]


def test_support_texts_are_not_trained_on(teacher):
    support = [text.upper() + "!" for text in teacher.model_.evidence.support.texts]
    texts = made_texts(40, 1)[0]
    found = distill(teacher.model_, [*support, *texts], QUICK)
    record = found.details["distilled"]
    assert record["n_texts"] + record["n_held"] == len(set(texts))


def test_without_evidence_it_has_the_teachers_classifier(teacher, caplog):
    bare = replace(teacher.model_, evidence=None)
    found = distill(bare, made_texts(100, 1)[0], QUICK)
    assert found.classifier is bare.classifier
    assert found.rejection is None
    assert found.nonconformity is None
    assert "The student rejects no texts" in caplog.text


def test_without_texts_it_has_general_vectors_and_says_so(teacher, caplog):
    found = distill(teacher.model_)
    assert found.encoder.trained is None
    assert "general vectors that know nothing of the task" in caplog.text
    assert set(found.predict(made_texts(30, 4)[0])) <= {*KINDS, None}
    with pytest.raises(ConfigError, match="Give texts of the task"):
        distill(replace(teacher.model_, evidence=None))


def test_several_labels(encoder):
    texts, labels = made_texts(40, 0)
    both = [f"{one} {other}" for one, other in pairwise(texts)]
    sets = [(one, other) if one != other else (one,) for one, other in pairwise(labels)]
    teacher = FewShotClassifier(encoder=encoder, label_names=None, multi_label=True)
    small = teacher.fit([*texts, *both], [*((one,) for one in labels), *sets]).distill(made_texts(100, 1)[0], QUICK)
    assert small.multi_label_
    assert small.model_.thresholds is not None
    assert all(isinstance(found, tuple) for found in small.predict(texts))


def test_an_encoder_alone(encoder):
    texts = made_texts(400, 1)[0]
    small = distilled_encoder(encoder, texts, QUICK)
    new = made_texts(50, 5)[0]
    assert torch.cosine_similarity(small.encode(new), encoder.encode(new)).mean() > 0.8


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_a_finished_training_is_gone_on_with(teacher, student, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    texts = made_texts(400, 1)[0]
    quick = replace(QUICK, training=replace(QUICK.training, checkpoint_seconds=0.0))
    store = Store(checkpoints=tmp_path, resume=True)
    first = distill(teacher.model_, texts, quick, store=store)
    assert first.encoder.trained.digest == student.model_.encoder.trained.digest
    caplog.clear()
    again = distill(teacher.model_, texts, quick, store=store)
    assert "Going on after step" in caplog.text
    assert again.encoder.trained.digest == first.encoder.trained.digest


def test_an_unknown_student_is_refused(teacher):
    assert "static" in STUDENTS
    with pytest.raises(ConfigError, match="Got student='statik', expected one of static"):
        teacher.distill(made_texts(40, 1)[0], "statik")


def test_the_best_temperature_is_the_one_that_made_the_targets():
    logits = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * 3
    assert best_temperature(logits, (logits / 2.5).softmax(-1)) == pytest.approx(2.5, rel=0.06)
