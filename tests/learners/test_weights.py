"""What a weight means to every learner: repetition, in NumPy, and nothing at all at zero."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fewshot.learners import LEARNERS, Centroid, Logistic, Prototypical, Ridge, Support
from tests.learners.test_promises import DIM, close, every_learner, logits_of, with_and_without_names
from tests.synthetic import primed, random_support, seeded

K_SHOT = 5


def weighted(dim=DIM, names=True):
    """A support in which places 3 and 4 of each class hold variants; some places are empty."""
    support, query = random_support(dim=dim, names=names)
    weights = torch.rand(3, 4, K_SHOT, generator=seeded(8)) + 0.1
    weights[..., :3] = 1
    mask = torch.rand(3, 4, K_SHOT, generator=seeded(9)) < 0.8
    mask[..., 0] = True
    variants = torch.tensor([False] * 3 + [True] * 2).expand(3, 4, K_SHOT)
    return replace(support, mask=mask, weights=weights, variants=variants), query


def without_variants(support):
    return Support(support.features[:, :, :3], support.mask[:, :, :3], support.label_names)


def test_weights_behind_a_false_mask_are_zero_and_names_weigh_one():
    support, _ = weighted()
    named = support.with_names_as_shots()
    assert not support.weights[~support.mask].any()
    assert bool((support.weights[support.mask] > 0).all())
    assert torch.equal(named.weights, torch.cat([support.weights, torch.ones(3, 4, 1)], dim=2))
    assert not named.variants[..., -1].any()
    np.testing.assert_allclose(named.shares().sum(-1), 1, rtol=1e-6)
    assert torch.equal(named.shots() - 1, support.mask[..., :3].sum(-1))


@every_learner
@with_and_without_names
def test_weights_of_one_are_no_weights(name, names):
    support, query = random_support(names=names)
    learner = primed(name, DIM)
    close(
        logits_of(learner, replace(support, weights=torch.ones(3, 4, K_SHOT)), query),
        logits_of(learner, support, query),
    )


@every_learner
@with_and_without_names
def test_variants_whose_weight_goes_to_zero_are_as_if_they_were_not_there(name, names):
    support, query = weighted(names=names)
    learner = primed(name, DIM)
    expected = logits_of(learner, without_variants(support), query)
    assert not torch.allclose(logits_of(learner, support, query), expected, atol=1e-2)
    faint = replace(support, weights=support.weights.masked_fill(support.variants, 1e-7))
    np.testing.assert_allclose(logits_of(learner, faint, query), expected, atol=2e-3)
    gone = replace(support, weights=support.weights.masked_fill(support.variants, 0.0))
    close(logits_of(learner, gone, query), expected)


@every_learner
@with_and_without_names
def test_dropped_variants_are_as_if_they_were_not_there(name, names):
    support, query = weighted(names=names)
    learner = primed(name, DIM)
    dropped = replace(support, mask=support.mask & ~support.variants)
    close(logits_of(learner, dropped, query), logits_of(learner, without_variants(support), query))


@every_learner
@with_and_without_names
def test_permuting_classes_permutes_logits_of_a_weighted_support(name, names):
    support, query = weighted(names=names)
    order = torch.tensor([2, 0, 3, 1])
    turned = Support(
        support.features[:, order],
        support.mask[:, order],
        support.label_names[:, order] if names else None,
        support.weights[:, order],
        support.variants[:, order],
    )
    learner = primed(name, DIM)
    close(logits_of(learner, turned, query), logits_of(learner, support, query)[..., order])


@every_learner
def test_a_batch_of_weighted_episodes_is_each_episode_by_itself(name):
    support, query = weighted()
    learner = primed(name, DIM)
    together = logits_of(learner, support, query)
    for e in range(3):
        one = Support(**{name: part[e : e + 1] for name, part in vars(support).items() if part is not None})
        close(logits_of(learner, one, query[e : e + 1]), together[e : e + 1])


def repeated(support, times):
    """Each text as often as it weighs, padded to the longest class."""
    episodes, n_way, _ = times.shape
    features = torch.zeros(episodes, n_way, int(times.sum(-1).max()), support.features.shape[-1])
    mask = torch.zeros(features.shape[:3], dtype=torch.bool)
    for e, w in np.ndindex(episodes, n_way):
        rows = support.features[e, w].repeat_interleave(times[e, w], 0)
        features[e, w, : len(rows)], mask[e, w, : len(rows)] = rows, True
    return Support(features, mask, support.label_names)


@pytest.mark.parametrize("dim", [6, 60], ids=["more texts than features", "more features than texts"])
@with_and_without_names
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("centroid", {}),
        ("prototypical", {}),
        ("ridge", {}),
        ("logistic", {"steps": 1000}),
        ("maml", {}),
        ("maml", {"hidden": 7, "adapts": "network"}),
        ("maml", {"rates": "per_parameter"}),
    ],
    ids=str,
)
def test_a_weight_is_a_number_of_repetitions(name, settings, names, dim):
    support, query = random_support(dim=dim, names=names)
    times = torch.randint(1, 4, (3, 4, K_SHOT), generator=seeded(2))
    learner = primed(name, dim, **settings)
    ours = logits_of(learner, replace(support, weights=times.float()), query)
    np.testing.assert_allclose(ours, logits_of(learner, repeated(support, times), query), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(ours, logits_of(learner, support, query), atol=1e-2)


def test_a_weight_is_a_number_of_repetitions_to_attention_that_does_not_ask_for_agreement():
    """Copies agree with each other, a weighted text does not with itself."""
    support, query = random_support(names=False)
    times = torch.randint(1, 4, (3, 4, K_SHOT), generator=seeded(2))
    learner = primed("attention_prototypical", DIM)
    with torch.no_grad():
        learner.agreement_weight.zero_()
    ours = logits_of(learner, replace(support, weights=times.float()), query)
    close(ours, logits_of(learner, repeated(support, times), query))


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def examples(support, episode):
    """The features, ways and weights of the examples of one episode that count."""
    named = support.with_names_as_shots()
    counts = named.weights[episode] > 0
    ways = torch.arange(len(counts))[:, None].expand_as(counts)
    parts = (named.features[episode][counts], ways[counts], named.weights[episode][counts])
    return tuple(part.double().numpy() for part in parts)


def centroid(x, y, w, learner, q):
    means = [np.average(x[y == c], axis=0, weights=w[y == c]) for c in range(4)]
    return 7.0 * unit(q) @ unit(np.array(means)).T


def prototypical(x, y, w, learner, q):
    project = np.eye(x.shape[1]) + learner.projection.weight.detach().double().numpy()
    scale = np.exp(learner.log_scale.detach().double().numpy()) / 7.0
    return scale * centroid(unit(x @ project), y, w, learner, q @ project)


def ridge(x, y, w, learner, q):
    x, d = unit(x), np.diag(w)
    return 4.0 * unit(q) @ np.linalg.solve(x.T @ d @ x + 0.3 * np.eye(x.shape[1]), x.T @ d @ np.eye(4)[y.astype(int)])


def logistic(x, y, w, learner, q):
    model = LogisticRegression(C=10.0, fit_intercept=False, tol=1e-10, max_iter=10_000)
    return unit(q) @ model.fit(unit(x), y, sample_weight=w).coef_.T


CASES = {
    "centroid": (lambda dim: Centroid(dim, scale=7.0), centroid, 1e-5),
    "prototypical": (lambda dim: primed("prototypical", dim), prototypical, 1e-4),
    "ridge": (lambda dim: Ridge(dim, penalty=0.3, scale=4.0), ridge, 1e-4),
    "logistic": (Logistic, logistic, 1e-3),
}


@with_and_without_names
@pytest.mark.parametrize("dim", [6, 40], ids=["more texts than features", "more features than texts"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_weighted_logits_follow_the_formula(case, dim, names):
    make, formula, tolerance = case
    support, query = weighted(dim, names)
    learner = make(dim)
    logits = learner.adapt(support).logits(query).detach().double().numpy()
    for episode in range(3):
        x, y, w = examples(support, episode)
        expected = formula(x, y, w, learner, query[episode].double().numpy())
        np.testing.assert_allclose(logits[episode], expected, atol=tolerance)


def test_the_solver_of_logistic_keeps_its_promise_for_many_light_texts():
    """A thousand variants that together weigh as much as the shots: not the count, but the weight sets the steps."""
    generator = seeded(4)
    means = torch.randn(1, 5, 1, 20, generator=generator)
    features = means + 0.5 * torch.randn(1, 5, 205, 20, generator=generator)
    query = (means + torch.randn(1, 5, 3, 20, generator=generator)).flatten(1, 2)
    weights = torch.full((1, 5, 205), 1 / 40)
    weights[..., :5] = 1
    support = Support(features, torch.ones(1, 5, 205, dtype=torch.bool), None, weights)
    ours, exact = (logits_of(Logistic(20, steps=steps), support, query) for steps in (100, 3000))
    np.testing.assert_allclose(ours, exact, atol=1e-4 * float(exact.abs().max()))


def test_prototypes_of_maml_start_at_the_weighted_means():
    """Before the first step the default is exactly `Prototypical`."""
    support, query = weighted()
    maml, prototypical = LEARNERS["maml"](DIM, inner_lr=1e-12, scale=13.0), Prototypical(DIM, scale=13.0)
    close(logits_of(maml, support, query), logits_of(prototypical, support, query))


@pytest.mark.parametrize("name", ["prototypical", "attention_prototypical", "maml", "ridge"])
def test_gradients_of_a_weighted_support_are_finite(name):
    support, query = weighted()
    features = support.features.clone().requires_grad_()
    given = replace(support, features=features, weights=support.weights.masked_fill(support.variants, 0.0))
    learner = primed(name, DIM)
    learner.loss(given, query, torch.arange(4).repeat_interleave(3).expand(3, -1)).backward()
    assert bool(features.grad.isfinite().all())
    assert bool(features.grad.any())
    assert all(bool(p.grad.isfinite().all()) for p in learner.parameters() if p.grad is not None)
