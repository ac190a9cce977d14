"""What meta-training is for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot.episodes import corrupt_support, sample_episodes
from fewshot.evaluation import evaluate
from fewshot.learners import LEARNERS
from tests.synthetic import clusters, seeded
from tests.training.nuisance import (
    DIM,
    FEATURES,
    N_CLASSES,
    TEST,
    TRAINER,
    fit,
    mean_accuracy,
    meta_trained,
    pools,
    valid_episodes,
)


@pytest.fixture(scope="module")
def trained():
    """Name → learner and history, after meta-training where there is anything to train."""
    return {name: fit(FEATURES, name) for name in LEARNERS}


@meta_trained
def test_the_accuracy_on_valid_classes_improves(trained, name):
    learner, history = trained[name]
    found = mean_accuracy(learner, FEATURES, valid_episodes()[0])
    assert found > mean_accuracy(LEARNERS[name](DIM), FEATURES, valid_episodes()[0]) + 0.05
    assert history.valid_accuracies[history.best_step] == pytest.approx(found)


@meta_trained
def test_the_loss_falls(trained, name):
    losses = trained[name][1].losses
    # Steps take the shots in turn, so thirds of the losses are compared, not neighbours.
    assert np.mean(losses[-20:]) < np.mean(losses[:20])


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_beats_chance_on_test_classes(trained, name):
    episodes = sample_episodes(pools(TEST), 200, 5, 5, 5, seeded(2))
    estimate = evaluate(trained[name][0], FEATURES, episodes).accuracy
    assert estimate.mean - estimate.ci95 > 0.4  # chance is 0.2


@meta_trained
def test_a_trained_map_beats_the_centroid_on_test_classes(trained, name):
    episodes = sample_episodes(pools(TEST), 200, 5, 5, 5, seeded(2))
    ours, theirs = (mean_accuracy(trained[each][0], FEATURES, episodes) for each in (name, "centroid"))
    assert ours > theirs + 0.05


def test_the_map_leaves_the_nuisance_out(trained):
    with torch.no_grad():
        mapped = torch.eye(DIM) + trained["prototypical"][0].projection.weight
    assert float(mapped[8:].norm(dim=1).mean()) < 0.7 * float(mapped[:8].norm(dim=1).mean())


def test_training_on_wrong_labels_teaches_the_attention_to_mind_agreement():
    # The classes are clear, so that only the wrong labels are in the way.
    clear = clusters(N_CLASSES, 30, DIM, signal=12, nuisance=0.1)[0].without_label_names()
    noisy = replace(TRAINER, shots=(5,), support_noise=0.4, steps=40, learning_rate=1e-4, scalar_learning_rate=0.05)
    learner, _ = fit(clear, "attention_prototypical", noisy, valid=[noisy_valid()])
    assert float(learner.agreement_weight.detach()) > 0.1


def noisy_valid():
    return corrupt_support(valid_episodes()[0], 0.4, seeded(3))
