import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot.episodes import EpisodeBatch, sample_episodes, sample_realistic_episodes
from fewshot.evaluation import (
    accuracy,
    class_distances,
    evaluate,
    expected_calibration_error,
    held_out_accuracy,
    macro_f1,
    predict,
)
from fewshot.features import TaskFeatures, Variants
from fewshot.learners import LEARNERS, Centroid, Support
from fewshot.tasks.task import ClassPools
from tests.synthetic import clusters, primed, seeded

DIM = 32
LABELS = torch.arange(8).repeat_interleave(30)
MODULE = sys.modules["fewshot.evaluation.evaluate"]  # the package gives the name to its function


@pytest.fixture(scope="module")
def features():
    return clusters(8, 30, DIM, nuisance=1.0)[0]


@pytest.fixture(scope="module")
def pools():
    return ClassPools.from_labels(LABELS, range(8))


@pytest.fixture(scope="module")
def episodes(pools):
    return sample_episodes(pools, 40, 4, 3, 6, seeded())


@pytest.mark.parametrize("name", LEARNERS)
def test_logits_are_those_of_the_learner_on_the_texts_of_each_episode(features, episodes, name):
    learner = primed(name, DIM)
    logits = predict(learner, features, episodes)
    assert logits.shape == (40, 24, 4)
    assert not logits.requires_grad
    e = 17
    support = Support(
        features.texts[episodes.support[e : e + 1]],
        torch.ones(1, 4, 3, dtype=torch.bool),
        features.label_names[episodes.classes[e : e + 1]],
    )
    expected = learner.adapt(support).logits(features.texts[episodes.query[e].flatten()][None])
    np.testing.assert_allclose(logits[e : e + 1], expected.detach(), atol=1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_small_passes_give_the_same_as_one_large_pass(features, episodes, name, monkeypatch):
    learner = primed(name, DIM)
    whole = evaluate(learner, features, episodes)
    passes = []
    adapt = type(learner).adapt
    monkeypatch.setattr(type(learner), "adapt", lambda self, s: passes.append(len(s.mask)) or adapt(self, s))
    monkeypatch.setattr(MODULE, "_ELEMENTS", 7 * 4 * (3 + 6 + 1) * DIM)
    pieces = evaluate(learner, features, episodes)
    assert passes == [7, 7, 7, 7, 7, 5]
    np.testing.assert_allclose(pieces.logits, whole.logits, atol=1e-4)
    np.testing.assert_allclose(pieces.intra_class_distance, whole.intra_class_distance, atol=1e-5)
    np.testing.assert_allclose(pieces.inter_class_distance, whole.inter_class_distance, atol=1e-5)


def test_the_scores_are_those_of_the_metrics(features, episodes):
    learner = primed("prototypical", DIM)
    learner.temperature.fill_(2.5)
    result = evaluate(learner, features, episodes)
    targets = torch.arange(4).repeat_interleave(6).expand(40, -1)
    assert torch.equal(result.targets, targets)
    assert torch.equal(result.accuracies, accuracy(result.logits, targets))
    assert result.accuracy.mean == pytest.approx(float(result.accuracies.mean()))
    assert result.accuracy.n == 40
    assert 0.3 < result.accuracy.mean < 1
    assert result.macro_f1.mean == pytest.approx(float(macro_f1(result.logits, targets).mean()))
    assert result.ece(calibrated=False) == expected_calibration_error(result.logits, targets)
    assert result.ece(calibrated=True) == expected_calibration_error(result.logits.double() / 2.5, targets)
    assert result.ece(calibrated=True) != result.ece(calibrated=False)
    assert result.seconds > 0


def test_distances_are_those_of_support_and_queries_in_the_learners_space(features, episodes):
    learner = primed("prototypical", DIM)
    result = evaluate(learner, features, episodes)
    for e in (0, 39):
        indices = torch.cat([episodes.support[e], episodes.query[e]], dim=1)
        texts = learner.projection(features.texts[indices.flatten()]).detach()[None]
        intra, inter = class_distances(texts, torch.arange(4).repeat_interleave(9)[None])
        assert float(result.intra_class_distance[e]) == pytest.approx(float(intra), rel=1e-4)
        assert float(result.inter_class_distance[e]) == pytest.approx(float(inter), rel=1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_unequal_episodes_give_what_their_texts_give(features, pools, name):
    episodes = sample_realistic_episodes(pools, 30, 4, 4, 5, seeded(3))
    assert bool((~episodes.support_mask).any())
    learner = primed(name, DIM)
    result = evaluate(learner, features, episodes)
    # Whatever text the padding points at has no part in it.
    poisoned = type(features)(torch.cat([features.texts, torch.full((1, DIM), 9.0)]), features.label_names)
    moved = type(episodes)(
        episodes.classes,
        episodes.support.masked_fill(~episodes.support_mask, 240),
        episodes.support_mask,
        episodes.query,
    )
    np.testing.assert_allclose(predict(learner, poisoned, moved), result.logits, atol=1e-4)
    assert bool(torch.isfinite(result.intra_class_distance).all())
    e = 5
    texts, ways = [], []
    for way in range(4):
        indices = torch.cat([episodes.support[e, way][episodes.support_mask[e, way]], episodes.query[e, way]])
        texts.append(features.texts[indices])
        ways += [way] * len(indices)
    with torch.no_grad():
        metric = learner.adapt(features.support(episodes[e : e + 1])).metric(torch.cat(texts)[None])
    intra, inter = class_distances(metric, torch.tensor([ways]))
    assert float(result.intra_class_distance[e]) == pytest.approx(float(intra), rel=1e-4)
    assert float(result.inter_class_distance[e]) == pytest.approx(float(inter), rel=1e-4)


@pytest.fixture(scope="module")
def with_variants(features):
    """Five variants of each text near it."""
    near = features.texts.repeat_interleave(5, 0)
    near = near + 0.3 * torch.randn(near.shape, generator=seeded(6))
    return replace(features, variants=Variants(near, torch.arange(len(near)).view(-1, 5), weight=0.8))


@pytest.mark.parametrize("name", LEARNERS)
def test_variants_are_merged_in_passes_that_are_smaller(features, with_variants, episodes, name, monkeypatch):
    learner = primed(name, DIM)
    whole = evaluate(learner, with_variants, episodes)
    expected = learner.adapt(with_variants.support(episodes)).logits(with_variants.query(episodes))
    np.testing.assert_allclose(whole.logits, expected.detach(), rtol=1e-3, atol=1e-3)
    assert float((whole.logits - predict(learner, features, episodes)).abs().max()) > 1e-2
    passes = []
    adapt = type(learner).adapt
    monkeypatch.setattr(type(learner), "adapt", lambda self, s: passes.append(len(s.mask)) or adapt(self, s))
    places = 3 * (1 + 5)
    monkeypatch.setattr(MODULE, "_ELEMENTS", 7 * 4 * (places + 6 + 1) * max(DIM, 4 * (places + 1)))
    np.testing.assert_allclose(predict(learner, with_variants, episodes), whole.logits, rtol=1e-3, atol=1e-3)
    assert passes == [7, 7, 7, 7, 7, 5]


def test_variants_do_not_count_in_distances(features, with_variants, episodes):
    learner = primed("centroid", DIM)
    result, bare = evaluate(learner, with_variants, episodes), evaluate(learner, features, episodes)
    assert torch.equal(result.intra_class_distance, bare.intra_class_distance)
    assert torch.equal(result.inter_class_distance, bare.inter_class_distance)


def test_good_variants_of_single_texts_help():
    """Variants that are drawn as the texts of a class are stand for the texts that one shot lacks."""
    drawn = clusters(8, 30 * 6, DIM, nuisance=1.0)[0].texts.view(8, 30, 6, DIM)
    bare = TaskFeatures(drawn[:, :, 0].reshape(-1, DIM))
    made = Variants(drawn[:, :, 1:].reshape(-1, DIM), torch.arange(8 * 30 * 5).view(-1, 5), weight=5.0)
    one_shot = sample_episodes(ClassPools.from_labels(LABELS, range(8)), 40, 4, 1, 6, seeded())
    learner = LEARNERS["centroid"](DIM)
    gain = (
        evaluate(learner, replace(bare, variants=made), one_shot).accuracies
        - evaluate(learner, bare, one_shot).accuracies
    )
    assert float(gain.mean()) > 0.05


def test_nothing_is_trained(features, episodes):
    learner = primed("attention_prototypical", DIM)
    before = {key: value.clone() for key, value in learner.state_dict().items()}
    evaluate(learner, features, episodes)
    assert all(torch.equal(value, before[key]) for key, value in learner.state_dict().items())
    assert all(p.grad is None for p in learner.parameters())


def test_a_pass_has_at_least_one_episode(features, pools, monkeypatch):
    monkeypatch.setattr(MODULE, "_ELEMENTS", 1)
    episodes = sample_episodes(pools, 3, 4, 3, 6, seeded())
    assert predict(primed("centroid", DIM), features, episodes).shape == (3, 24, 4)


# Two classes on two axes; the last text of the second class lies on the first one's.
TEXTS = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [1.0, 0.1]])
SUPPORT = torch.tensor([[[0, 1, -1], [2, 3, 4]]])
EPISODE = EpisodeBatch(torch.tensor([[0, 1]]), SUPPORT, SUPPORT >= 0, torch.zeros(1, 2, 1, dtype=torch.long))


def split(*held):
    return torch.tensor([place for place in range(5) if place not in held]), torch.tensor(held)


def test_it_is_the_share_of_texts_held_out_that_the_rest_gets_right():
    learner = Centroid(2).train()
    features = TaskFeatures(TEXTS)
    assert held_out_accuracy(learner, features, EPISODE, [split(1, 3)]) == 1.0
    assert held_out_accuracy(learner, features, EPISODE, [split(1, 4)]) == 0.5
    assert held_out_accuracy(learner, features, EPISODE, [split(0), split(4), split(2)]) == 2 / 3
    assert held_out_accuracy(learner, features, EPISODE, []) == 0.0
    assert learner.training


def test_queries_play_no_part():
    features = TaskFeatures(TEXTS)
    other = EpisodeBatch(EPISODE.classes, SUPPORT, SUPPORT >= 0, torch.full((1, 2, 1), 4))
    assert held_out_accuracy(Centroid(2), features, other, [split(1)]) == held_out_accuracy(
        Centroid(2), features, EPISODE, [split(1)]
    )
