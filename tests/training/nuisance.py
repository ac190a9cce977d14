"""A task on which meta-training pays: eight dimensions tell the classes apart, 24 louder ones say nothing."""

import pytest
import torch

from fewshot.episodes import EpisodeBatch, sample_episodes
from fewshot.evaluation import evaluate
from fewshot.features import TaskFeatures
from fewshot.learners import LEARNERS, Learner
from fewshot.tasks.task import ClassPools
from fewshot.training import MetaTrainer, TrainingHistory
from tests.synthetic import clusters, seeded

DIM, N_CLASSES, PER_CLASS = 32, 40, 30
TRAIN, VALID, TEST = range(24), range(24, 30), range(30, 40)
LABELS = torch.arange(N_CLASSES).repeat_interleave(PER_CLASS)
TRAINER = MetaTrainer(
    steps=60,
    episodes_per_step=8,
    ways=None,
    shots=(1, 5, 10),
    queries=5,
    learning_rate=0.02,
    scalar_learning_rate=0.01,
    weight_decay=0.0,
    support_noise=0.0,
    evaluate_every=10,
    patience=8,
)
META_TRAINED = [name for name in LEARNERS if LEARNERS[name](DIM).is_meta_trained]
meta_trained = pytest.mark.parametrize("name", META_TRAINED)
FEATURES = clusters(N_CLASSES, PER_CLASS, DIM, signal=8, nuisance=1.0)[0].without_label_names()


def pools(classes) -> ClassPools:
    return ClassPools.from_labels(LABELS, classes)


def valid_episodes(n_episodes: int = 100) -> list[EpisodeBatch]:
    return [sample_episodes(pools(VALID), n_episodes, 5, 5, 5, seeded(1))]


def fit(
    features: TaskFeatures = FEATURES,
    name: str = "prototypical",
    trainer: MetaTrainer = TRAINER,
    seed: int = 0,
    valid: list[EpisodeBatch] | None = None,
) -> tuple[Learner, TrainingHistory]:
    learner = LEARNERS[name](DIM)
    if learner.meta_lr is not None:
        learner.meta_lr = trainer.learning_rate
    return learner, trainer.fit(learner, features, [pools(TRAIN)], valid or valid_episodes(), seed)


def mean_accuracy(learner: Learner, features: TaskFeatures, episodes: EpisodeBatch) -> float:
    return evaluate(learner, features, episodes).accuracy.mean


def same(first: Learner, second: Learner) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


class Spy(TaskFeatures):
    """Features that refuse to give those of some classes, and keep the shapes they were asked for."""

    def watch(self, labels, refused):
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "refused", torch.tensor(list(refused)))
        object.__setattr__(self, "asked", [])
        object.__setattr__(self, "embedded_batches", 0)
        return self

    def embedded(self, learner: Learner, batch: EpisodeBatch):
        self._check(batch)
        object.__setattr__(self, "embedded_batches", self.embedded_batches + 1)
        return super().embedded(learner, batch)

    def support(self, batch: EpisodeBatch):
        self._check(batch)
        self.asked.append((batch.n_way, batch.k_shot, batch.n_query, len(batch)))
        return super().support(batch)

    def query(self, batch: EpisodeBatch):
        self._check(batch)
        return super().query(batch)

    def _check(self, batch):
        for indices in (batch.support, batch.query):
            seen = self.labels[indices[indices >= 0]]
            assert not bool(torch.isin(seen, self.refused).any()), "a test class was looked at"


def spy_on(refused=TEST) -> Spy:
    return Spy(FEATURES.texts).watch(LABELS, refused)
