"""Every learner against a few lines of NumPy that follow its formula literally, in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fewshot.learners import Centroid, Logistic, Prototypical, Ridge, Support
from tests.synthetic import primed, random_support

K_SHOT = 5


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def examples(support, episode):
    """The examples of one episode with the label name as one more, `[n_way, k_shot + 1, dim]`, and their ways."""
    x = support.features[episode].double().numpy()
    if support.label_names is not None:
        x = np.concatenate([x, support.label_names[episode, :, None].double().numpy()], axis=1)
    return x, np.repeat(np.arange(len(x)), x.shape[1])


def centroid(x, q, learner):
    return 7.0 * unit(q) @ unit(x.mean(1)).T


def prototypical(x, q, learner):
    w = np.eye(x.shape[-1]) + learner.projection.weight.detach().double().numpy()
    return np.exp(learner.log_scale.detach().double().numpy()) * unit(q @ w) @ unit(unit(x @ w).mean(1)).T


def ridge(x, q, learner):
    n_way, n, dim = x.shape
    x, y = unit(x).reshape(-1, dim), np.repeat(np.eye(n_way), n, axis=0)
    weights = np.linalg.solve(x.T @ x + 0.3 * np.eye(dim), x.T @ y)  # the primal solution: dim unknowns
    return 4.0 * unit(q) @ weights


def logistic(x, q, learner):
    y = np.repeat(np.arange(len(x)), x.shape[1])
    model = LogisticRegression(C=10.0, fit_intercept=False, tol=1e-10, max_iter=10_000)
    return unit(q) @ model.fit(unit(x).reshape(-1, x.shape[-1]), y).coef_.T


CASES = {
    "centroid": (lambda dim: Centroid(dim, scale=7.0), centroid, 1e-5),
    "prototypical": (lambda dim: primed("prototypical", dim), prototypical, 1e-4),
    "ridge": (lambda dim: Ridge(dim, penalty=0.3, scale=4.0), ridge, 1e-4),
    "logistic": (Logistic, logistic, 1e-3),
}


@pytest.mark.parametrize("names", [True, False], ids=["with names", "without names"])
@pytest.mark.parametrize("dim", [6, 40], ids=["more texts than features", "more features than texts"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_logits_follow_the_formula(case, dim, names):
    make, formula, tolerance = case
    support, query = random_support(episodes=3, n_way=4, dim=dim, names=names)
    learner = make(dim)
    logits = learner.adapt(support).logits(query).detach().double().numpy()
    for episode in range(3):
        x, _ = examples(support, episode)
        expected = formula(x, query[episode].double().numpy(), learner)
        assert np.ptp(expected) > 0.5
        np.testing.assert_allclose(logits[episode], expected, atol=tolerance)


def test_logistic_of_many_logits_is_solved_in_single_precision(monkeypatch):
    support, query = random_support(episodes=1, n_way=8, k_shot=40, dim=20, names=False)
    exact = Logistic(20).adapt(support).logits(query)
    monkeypatch.setattr("fewshot.learners.logistic._LARGE", 0)
    single = Logistic(20).adapt(support)
    assert single.coefficients.dtype == torch.float32
    np.testing.assert_allclose(single.logits(query), exact, atol=5e-3)
    assert torch.equal(single.logits(query).argmax(-1), exact.argmax(-1))


@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
def test_logistic_finds_the_weights_of_scikit_learn_for_classes_of_unequal_sizes(C):
    support, query = random_support(episodes=1, n_way=3, k_shot=6, dim=10, names=False)
    mask = torch.tensor([[[True] * 6, [True] * 2 + [False] * 4, [True] * 3 + [False] * 3]])
    classifier = Logistic(10, C=C).adapt(Support(support.features, mask))
    weights = classifier.support[0].mT @ classifier.coefficients[0]
    x, y = examples(support, 0)
    rows = mask[0].flatten().numpy()
    model = LogisticRegression(C=C, fit_intercept=False, tol=1e-10, max_iter=10_000)
    model.fit(unit(x).reshape(-1, 10)[rows], y[rows])
    np.testing.assert_allclose(weights.mT.numpy(), model.coef_, atol=1e-3)
    expected = unit(query[0].double().numpy()) @ model.coef_.T
    np.testing.assert_allclose(classifier.logits(query)[0].numpy(), expected, atol=1e-3)


def test_two_classes_that_are_alike_but_for_one_dimension_by_hand():
    """Support (1, 0) and (0, 1): the query (3, 4) has cosines 0.6 and 0.8, the label names turn class 0 to 45°."""
    features = torch.tensor([[[[2.0, 0.0]], [[0.0, 5.0]]]])
    support = Support(features, torch.ones(1, 2, 1, dtype=torch.bool))
    query = torch.tensor([[[3.0, 4.0]]])
    np.testing.assert_allclose(Centroid(2, scale=10.0).adapt(support).logits(query)[0], [[6.0, 8.0]], rtol=1e-5)
    named = replace(support, label_names=torch.tensor([[[0.0, 2.0], [0.0, 1.0]]]))
    np.testing.assert_allclose(Centroid(2, scale=10.0).adapt(named).logits(query)[0], [[9.8995, 8.0]], rtol=1e-4)
    # Before any training, the projection is the identity; unit vectors are averaged.
    np.testing.assert_allclose(
        Prototypical(2, scale=10.0).adapt(named).logits(query)[0].detach(), [[9.8995, 8.0]], rtol=1e-4
    )
