"""Meta-training of an encoder: it learns what carries over to new classes, and never touches the published one."""

import pytest
import torch

from fewshot.encoders import Adapter, Full, LoRA, SentenceTransformerEncoder
from fewshot.episodes.frozen import EpisodeRequest, draw
from fewshot.errors import ConfigError, TaskError
from fewshot.learners import AttentionPrototypical, Centroid, Logistic, Prototypical
from fewshot.training import EncoderTrainer, Store
from tests.tiny_models import save_sentence_transformer
from tests.training.first_word import first_word_task

QUICK = {"ways": 8, "evaluate_every": 10, "patience": 9, "precision": "float32", "interpolation": (1.0,)}


@pytest.fixture(scope="module")
def task():
    return first_word_task()


@pytest.fixture(scope="module")
def valid(task):
    return [draw(task, EpisodeRequest("valid", 5, 1, 4, 20))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(save_sentence_transformer(tmp_path_factory.mktemp("trainer")))


def encoder_of(folder):
    return SentenceTransformerEncoder(folder, cache=None, dtype="float32")


def fit(
    folder, task, valid, learner=Prototypical, seed=0, names=False, encoder=None, files=None, trainable=None, **settings
):
    trainer = EncoderTrainer(**(QUICK | {"steps": 40, "learning_rate": 1e-2} | settings))
    encoder, trainable = encoder or encoder_of(folder), trainable or Full()
    return trainer.fit(encoder, trainable, learner, task, valid, names, seed, files)


TERMS = {"contrastive_weight": 0.5, "adversarial_weight": 0.5}


@pytest.mark.parametrize(("trainable", "rate", "steps"), [(Full(), 1e-2, 60), (LoRA(), 2e-2, 80)])
def test_it_learns_what_carries_over_to_classes_it_has_not_seen(folder, task, valid, trainable, rate, steps):
    trained = fit(folder, task, valid, trainable=trainable, learning_rate=rate, steps=steps)
    scores = trained.history.valid_accuracies
    assert scores[0] < 0.5
    assert scores[trained.history.best_step] > 0.7
    assert trained.kept == 1.0


@pytest.mark.parametrize("trainable", [Full(), LoRA(), Adapter()], ids=lambda trainable: trainable.kind)
def test_each_kind_of_training_has_a_rate_of_its_own(folder, task, valid, trainable):
    trained = fit(folder, task, valid, trainable=trainable, steps=1, learning_rate=None)
    assert trained.history.steps == 1


@pytest.mark.parametrize(
    "content", ["text\nheart attack\nheart attack\nbone\n", "text,label\nbone,a\nheart attack,a\nheart attack,b\n"]
)
def test_of_the_target_domain_only_the_texts_are_read(tmp_path, content):
    (tmp_path / "texts.csv").write_text(content)
    trainer = EncoderTrainer(target=str(tmp_path), alignment_weight=0.5)
    assert set(trainer.target_texts()) == {"heart attack", "bone"}
    assert [path.name for path in tmp_path.iterdir()] == ["texts.csv"]
    before = trainer.determining()["target"]
    (tmp_path / "texts.csv").write_text(content + ("liver\n" if content.startswith("text\n") else "liver,a\n"))
    assert trainer.determining()["target"] != before
    assert EncoderTrainer(target=str(tmp_path)).target_texts() == ()  # weight 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b,c\nbone,x,y\n", r"not plain which column holds the texts.*Set its name to 'text'"),
        ("text\n", r"texts\.csv has no texts"),
        (None, r"encoder_training\.target"),
    ],
)
def test_a_target_that_cannot_be_read_is_one_sentence(tmp_path, content, said):
    folder = tmp_path / "domain"
    if content is not None:
        folder.mkdir()
        (folder / "texts.csv").write_text(content)
    with pytest.raises(TaskError, match=said):
        EncoderTrainer(target=str(folder), alignment_weight=0.5).target_texts()


def test_the_published_encoder_stays_as_it_is_and_the_trained_one_differs(folder, task, valid):
    encoder = encoder_of(folder)
    before = encoder.encode(task.texts[:3])
    trained = fit(folder, task, valid, encoder=encoder, steps=10)
    assert torch.equal(encoder.encode(task.texts[:3]), before)
    assert trained.encoder.fingerprint != encoder.fingerprint
    assert not torch.allclose(trained.encoder.encode(task.texts[:3]), before, atol=1e-3)


def test_a_training_that_helps_nowhere_gives_the_published_encoder_back(folder, task, valid):
    encoder = encoder_of(folder)
    trained = fit(folder, task, valid, encoder=encoder, steps=10, learning_rate=1e-12, scalar_learning_rate=1e-12)
    assert trained.kept == 0.0
    assert trained.encoder is encoder


@pytest.mark.parametrize("learner", [AttentionPrototypical, Centroid])
def test_other_metric_learners_give_the_task_loss(folder, task, valid, learner):
    trained = fit(folder, task, valid, learner, names=True, steps=10)
    assert trained.history.losses[0] != trained.history.losses[-1]


def test_the_learners_matrices_are_the_encoders_to_learn(folder, task, valid):
    made = []

    def make(dim):
        made.append(Prototypical(dim))
        return made[-1]

    fit(folder, task, valid, make, steps=10)
    assert not made[0].projection.weight.any()


def test_the_seed_decides(folder, task, valid):
    first, again, other = (fit(folder, task, valid, steps=10, seed=seed).history.losses for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_all_terms_go_on_to_the_same_bits_after_an_interruption(folder, task, valid, tmp_path, monkeypatch):
    draw = EncoderTrainer._draw
    settings = TERMS | {"checkpoint_seconds": 0.0, "evaluate_every": 4}

    def train(home, resume=False):
        files = Store(checkpoints=tmp_path / home, resume=resume).files("encoder", settings)
        return fit(folder, task, valid, trainable=Full(encoder_dropout=0.1), files=files, steps=12, **settings)

    def interrupted(self, train, step, *more):
        if step == 7:
            raise KeyboardInterrupt
        return draw(self, train, step, *more)

    whole = train("whole")
    with monkeypatch.context() as patch:
        patch.setattr(EncoderTrainer, "_draw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train("again")
    resumed = train("again", resume=True)
    assert resumed.history == whole.history
    assert resumed.encoder.fingerprint == whole.encoder.fingerprint


def test_only_train_classes_are_drawn(task):
    trainer = EncoderTrainer(**QUICK)
    for step in range(1, 6):
        batch = trainer._draw(trainer.train_pools(task), step, torch.Generator().manual_seed(step), 0)
        assert set(batch.episodes.classes.flatten().tolist()) <= set(task.parts["train"])


def test_the_best_share_of_the_way_is_kept(folder, task, valid):
    trained = fit(folder, task, valid, interpolation=(0.01, 0.6, 1.0), learning_rate=2e-2, steps=10)
    assert trained.kept in (0.0, 0.01, 0.6, 1.0)


def test_a_learner_without_a_gradient_is_refused(folder, task, valid):
    with pytest.raises(ConfigError, match="logistic regression"):
        fit(folder, task, valid, Logistic)
