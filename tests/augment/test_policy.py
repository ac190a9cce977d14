"""The policy tries all choices on the same episodes and takes none that is no sure gain."""

import pytest
import torch

from fewshot.augment import AugmentationPolicy
from fewshot.augment.policy import Decision, Trial
from fewshot.episodes import sample_episodes
from fewshot.errors import ConfigError
from fewshot.evaluation import Estimate, evaluate, paired_difference
from fewshot.features import TaskFeatures, Variants
from fewshot.learners import Centroid
from tests.synthetic import clusters, pools_of, seeded


def trial(mean: float, ci95: float | None, *sources: str, weight: float = 0.5) -> Trial:
    return Trial(sources or ("synonym",), weight, Estimate(mean, ci95, None, 600))


def decision(*trials: Trial) -> Decision:
    return Decision(trials, Estimate(0.8, 0.01, 0.1, 600), 600)


def test_the_largest_lower_bound_wins_not_the_largest_gain():
    found = decision(trial(0.03, 0.025), trial(0.02, 0.005, "syntax", weight=1.0), trial(0.01, 0.001))

    assert found.chosen is found.trials[1]
    assert found.sentence() == (
        "Support augmented by syntax, weight 1: +2.0 ± 0.5 points on 600 valid episodes, the best of 3 choices"
    )


@pytest.mark.parametrize(
    "trials", [(trial(-0.01, 0.005),), (trial(0.5, None),), (trial(0.01, 0.02), trial(0.005, 0.006))]
)
def test_no_sure_gain_is_no_augmentation(trials):
    found = decision(*trials)

    assert found.chosen is None
    assert found.sentence().startswith("No augmentation of the support: the best of")
    assert found.as_json()["chosen"] is None
    assert len(found.as_json()["trials"]) == len(trials)


def test_all_of_it_is_in_the_json():
    found = decision(trial(0.02, 0.005, "synonym", "syntax", weight=0.25), trial(0.0, 0.1)).as_json()

    assert found["chosen"] == {
        "sources": ["synonym", "syntax"],
        "weight": 0.25,
        "gain": {"mean": 0.02, "ci95": 0.005, "std": None, "interval": None},
    }
    assert found["episodes"] == 600
    assert found["accuracy_without"]["mean"] == 0.8


@pytest.mark.parametrize(
    ("sources", "tried"),
    [(["a"], [("a",)]), (["a", "b"], [("a",), ("b",), ("a", "b")]), (["a", "b", "c"], [*"abc", ("a", "b", "c")])],
)
def test_each_source_alone_and_all_together(sources, tried):
    assert list(AugmentationPolicy().choices(sources).values()) == [tuple(choice) for choice in tried]


@pytest.fixture(scope="module")
def world():
    """Features of classes that overlap, with variants that are the class mean itself, and some that are noise."""
    features, labels = clusters(6, 20, nuisance=1.0, seed=4)
    means = torch.stack([features.texts[labels == c].mean(0) for c in range(6)])
    rows = torch.arange(len(labels))[:, None]
    noise = 0.2 * torch.randn(features.texts.shape, generator=seeded(5)) + features.texts
    helpful = Variants(means[labels], rows, margin=-2.0)
    useless = Variants(noise, rows, margin=-2.0)
    batch = sample_episodes(pools_labels(labels), 80, 4, 1, 5, seeded(6))
    return TaskFeatures(features.texts), batch, helpful, useless


def pools_labels(labels):
    return type(pools_of([1, 1])).from_labels(labels, range(int(labels.max()) + 1))


def test_help_is_told_from_noise(world):
    features, batch, helpful, useless = world
    learner = Centroid(features.dim)

    found = AugmentationPolicy(weights=(0.5, 4.0)).decide(
        learner, features, batch, {("helpful",): helpful, ("useless",): useless}
    )

    assert [(one.sources, one.weight) for one in found.trials] == [
        *((("helpful",), weight) for weight in (0.5, 4.0)),
        *((("useless",), weight) for weight in (0.5, 4.0)),
    ]
    assert found.chosen is not None
    assert found.chosen.sources == ("helpful",)
    assert found.chosen.weight == 4.0
    assert found.episodes == 80
    alone = AugmentationPolicy().decide(learner, features, batch, {("useless",): useless})
    assert alone.chosen is None


def test_gains_are_the_paired_differences_of_evaluate(world):
    features, batch, helpful, _ = world
    learner = Centroid(features.dim)

    [found] = AugmentationPolicy(weights=(1.0,)).decide(learner, features, batch, {("helpful",): helpful}).trials

    augmented = TaskFeatures(features.texts, variants=Variants(helpful.features, helpful.rows, 1.0, -2.0))
    scores = [evaluate(learner, each, batch).accuracies for each in (augmented, features)]
    assert found.gain == paired_difference(*scores)


def test_variants_of_the_features_themselves_are_left_out_of_the_comparison(world):
    features, batch, helpful, useless = world
    learner = Centroid(features.dim)
    beside = TaskFeatures(features.texts, variants=helpful)

    found = [AugmentationPolicy().decide(learner, each, batch, {("u",): useless}) for each in (features, beside)]

    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"weights": ()}, r"Got augment.policy.weights=\[\]. Expected numbers above 0"),
        ({"weights": (0.5, 0.0)}, r"augment.policy.weights=\[0.5,0.0\]"),
        ({"episodes": 1}, "Got augment.policy.episodes=1. Expected 2 or more"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        AugmentationPolicy(**settings)
