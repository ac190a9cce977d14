"""Students that are transformers: they come near the teacher, are small, resume, and say what they cannot learn."""

import pytest
import torch

from fewshot.distill import DeepSeekStudent, ImitationSettings, LayersStudent, Lessons
from fewshot.encoders import SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.described import described_encoder, encoder_from
from fewshot.encoders.trained import read_trained, write_trained
from fewshot.errors import ConfigError
from fewshot.training import Store
from tests.encoders.conftest import save_variant
from tests.tiny_models import WORDS, save_transformer

TEXTS = [f"{one} {two} {three}" for one in WORDS[:8] for two in WORDS[9:14] for three in WORDS[20:22]]
TRAINING = ImitationSettings(steps=120, evaluate_every=20, batch=32)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    published = save_transformer("bert", tmp_path_factory.mktemp("teacher") / "bert")
    folder = save_variant(published, tmp_path_factory.mktemp("deep") / "bert", num_hidden_layers=4)
    return TransformerEncoder(str(folder), cache=None, dtype="float32", shallow_layer=2)


@pytest.fixture(scope="module")
def lessons(teacher):
    return Lessons.of(teacher, TEXTS)


def cosine(encoder, lessons):
    held = lessons.texts[lessons.n_trained :]
    return float(torch.cosine_similarity(encoder.encode(held), lessons.features[lessons.held]).mean())


def test_some_layers_come_near_the_teacher_and_their_folder_holds_them_alone(teacher, lessons, tmp_path):
    student = LayersStudent(training=TRAINING, learning_rate=3e-3)
    start = student.start(teacher)
    found = student.learn(lessons)
    assert start.layers == (0, 3)
    assert start.shallow_layer == 1  # half way up, as 2 of 4
    assert cosine(found, lessons) > cosine(start, lessons) + 0.05
    assert found.trained.stored == torch.int8
    assert {name.split(".")[2] for name in found.trained.tensors} == {"0", "1"}
    write_trained(tmp_path, found.trained, {})
    again = encoder_from(described_encoder(found)).replace(cache=None).with_trained(read_trained(tmp_path))
    assert torch.equal(again.encode(TEXTS), found.encode(TEXTS))


def test_a_teacher_with_trained_weights_has_a_student_of_the_published_ones(teacher, lessons):
    trained = LayersStudent(layers=[0, 1, 2], training=ImitationSettings(steps=1)).learn(lessons)
    with pytest.raises(ConfigError, match=r"the layers \[0, 1, 2\] alone"):
        LayersStudent().start(trained)
    assert LayersStudent(layers=[1]).start(teacher).trained is None


def test_a_training_that_was_stopped_ends_with_the_same_weights(lessons, tmp_path):
    class Stopped(Exception):
        pass

    def stop(title, step, value):
        if step >= 4:
            raise Stopped

    student = LayersStudent(
        training=ImitationSettings(steps=8, evaluate_every=2, batch=16, checkpoint_seconds=0.0), learning_rate=1e-3
    )
    whole = student.learn(lessons)
    with pytest.raises(Stopped):
        student.learn(lessons, store=Store(checkpoints=tmp_path, watch=stop))
    resumed = student.learn(lessons, store=Store(checkpoints=tmp_path, resume=True))
    assert resumed.trained.digest == whole.trained.digest


@pytest.mark.parametrize("layers", [[0, 1, 2, 3], [0, 4]])
def test_layers_that_are_all_or_none_of_the_teachers_are_refused(teacher, layers):
    with pytest.raises(ConfigError, match="4 layers"):
        LayersStudent(layers=layers).start(teacher)


def test_the_deepseek_student_has_minilms_width_and_no_other(teacher):
    start = DeepSeekStudent().start(SentenceTransformerEncoder(cache=None))
    assert start.shallow_layer == 2
    assert start.shallow_weight == 0.6
    assert start.encode(["heart attack"]).shape == (1, 768)
    assert DeepSeekStudent().start(SentenceTransformerEncoder(cache=None, shallow_layer=None)).shallow_layer is None
    with pytest.raises(ConfigError, match="64 features, expected 768"):
        DeepSeekStudent().start(teacher)


@pytest.mark.slow
def test_the_deepseek_student_learns_in_place_of_the_published_weights():
    lessons = Lessons.of(SentenceTransformerEncoder(cache=None), TEXTS[:40])
    student = DeepSeekStudent(training=ImitationSettings(steps=12, evaluate_every=4, batch=16))
    found, start = student.learn(lessons), student.start(lessons.encoder)
    assert cosine(found, lessons) > cosine(start, lessons)
    assert not any("embed_tokens" in name for name in found.trained.tensors)
