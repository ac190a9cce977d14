"""Linear discriminant with one covariance, beside scikit-learn's and a few lines of NumPy."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch.nn.functional import normalize

from fewshot.fitted.statistics import ClassStatistics
from fewshot.learners.discriminant import FeatureMap
from fewshot.learners.saving import classifier_from, described_classifier

DIM, LABELS = 6, ("a", "b", "c")


def drawn(n=90, seed=0):
    generator = torch.Generator().manual_seed(seed)
    classes = torch.arange(n) % 3
    centres = torch.randn(3, DIM, generator=generator)
    return normalize(centres[classes] + 0.8 * torch.randn(n, DIM, generator=generator), dim=-1), classes


def plain(width=0):
    return FeatureMap(width, torch.zeros(0, DIM), torch.zeros(0))


def damped(width=0):
    return FeatureMap(width, torch.eye(DIM)[:2], torch.tensor([0.5, 0.25]))


def test_with_random_units_and_no_prior_it_is_the_linear_discriminant_of_equally_frequent_classes():
    features, classes = drawn()
    mapped = damped(12)
    ours = ClassStatistics.of(features, classes, LABELS, mapped).classifier(prior_texts=1e-6)
    units = mapped(features).double().numpy()
    reference = LinearDiscriminantAnalysis(solver="lsqr").fit(units, classes.numpy())
    np.testing.assert_allclose(ours.logits(features[None])[0].softmax(-1), reference.predict_proba(units), atol=2e-3)


def test_with_random_units_it_is_the_formula():
    features, classes = drawn(12)
    ours = ClassStatistics.of(features, classes, LABELS, damped(32)).classifier(prior_texts=10.0)
    phi = damped(32)(features).double().numpy()
    means = np.stack([phi[classes.numpy() == c].mean(0) for c in range(3)])
    rest = phi - means[classes.numpy()]
    scatter = rest.T @ rest / 12
    inverse = np.linalg.inv(scatter + 10 / 12 * np.trace(scatter) / len(scatter) * np.eye(len(scatter)))
    expected = phi @ inverse @ means.T - np.einsum("cd,de,ce->c", means, inverse, means) / 2
    np.testing.assert_allclose(ours.logits(features[None])[0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("mapped", [plain(), damped()], ids=["plain", "damped"])
def test_the_means_are_drawn_to_their_mean_by_the_formula(mapped):
    features, classes = drawn(13)  # classes of unequal size
    ours = ClassStatistics.of(features, classes, LABELS, mapped).classifier(prior_texts=10.0)
    phi, numbers = mapped(features).double().numpy(), classes.numpy()
    counts = np.bincount(numbers)
    means = np.stack([phi[numbers == c].mean(0) for c in range(3)])
    rest = phi - means[numbers]
    within = rest.T @ rest / 13
    prior = within + 10 / 13 * np.trace(within) / DIM * np.eye(DIM)
    prior *= np.trace(within) * 13 / (13 - 3) / np.trace(prior)
    seen = np.cov(means.T)
    between = 0.1 * (3 / 153 * seen + 150 / 153 * np.trace(seen) / DIM * np.eye(DIM))
    centre = means.mean(0)
    shrink = [between @ np.linalg.inv(between + prior / n) for n in counts]
    drawn_in = np.stack([centre + own @ (mean - centre) for own, mean in zip(shrink, means, strict=True)])
    spread = prior + np.linalg.inv(np.linalg.inv(between) + 13 / 3 * np.linalg.inv(prior))
    inverse = np.linalg.inv(spread)
    expected = -np.stack([np.einsum("nd,de,ne->n", phi - m, inverse, phi - m) for m in drawn_in], 1) / 2
    found = ours.logits(features[None])[0].double()
    np.testing.assert_allclose(found.log_softmax(-1), torch.tensor(expected).log_softmax(-1), rtol=1e-3, atol=1e-3)


def test_directions_are_damped_and_the_length_stays():
    z = damped().damped(normalize(torch.ones(1, DIM), dim=-1))[0]
    np.testing.assert_allclose(z / z[2], [0.5, 0.25, 1, 1, 1, 1], rtol=1e-5)
    assert float(z.norm()) == pytest.approx(1)


def test_random_units_are_the_same_in_every_version():
    signs = FeatureMap(7, torch.zeros(0, 5), torch.zeros(0))._signs
    assert signs[0].tolist() == [-1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0]
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("mapped", [plain(), damped(64)], ids=["plain", "random units"])
def test_statistics_add_up_in_any_order(mapped):
    features, classes = drawn()
    whole = ClassStatistics.of(features, classes, LABELS, mapped)
    parts = [
        ClassStatistics.of(features[rows], classes[rows], LABELS, mapped)
        for rows in torch.randperm(90, generator=torch.Generator().manual_seed(1)).split([1, 40, 49])
    ]
    there = parts[2] + parts[0] + parts[1]
    assert torch.equal(there.counts, whole.counts)
    queries = drawn(seed=2)[0][None]
    torch.testing.assert_close(
        there.classifier().logits(queries), whole.classifier().logits(queries), atol=1e-3, rtol=1e-3
    )
    left = whole - parts[1]
    again = parts[0] + parts[2]
    torch.testing.assert_close(left.products, again.products, atol=1e-4, rtol=1e-4)


def test_a_label_that_comes_later_is_one_that_was_there_from_the_start():
    features, classes = drawn()
    first, later = classes != 1, classes == 1
    old = ClassStatistics.of(features[first], classes[first] // 2, ("a", "c"), plain())
    new = ClassStatistics.of(features[later], classes[later] * 0, ("b",), plain())
    whole = ClassStatistics.of(features, classes, LABELS, plain())
    assert (old + new).labels == LABELS
    torch.testing.assert_close((new + old).sums, whole.sums)
    torch.testing.assert_close((old + new).products, whole.products)


def test_one_text_of_each_class_gives_the_nearest():
    features = torch.eye(DIM)[:3]
    found = ClassStatistics.of(features, torch.arange(3), LABELS, plain()).classifier().logits(features[None])[0]
    assert found.argmax(1).tolist() == [0, 1, 2]
    assert bool(found.isfinite().all())


def test_it_is_the_same_after_saving():
    features, classes = drawn()
    classifier = ClassStatistics.of(features, classes, LABELS, damped(16)).classifier()
    again = classifier_from(*described_classifier(classifier))
    torch.testing.assert_close(again.logits(features[None]), classifier.logits(features[None]))
    torch.testing.assert_close(again.metric(features[None]).norm(dim=-1), torch.ones(1, 90))
