"""The attention-weighted prototypes: their formula by loops, and what each attention is for."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot.learners import AttentionPrototypical, Prototypical, Support
from tests.synthetic import primed, random_support, seeded

DIM = 6
UNEQUAL = torch.tensor([[True] * 5, [True, False, True, False, False], [False, True] + [True] * 3, [True] * 5])


def unit(x):
    return x / np.linalg.norm(x)


def softmax(x):
    weights = np.exp(x - np.max(x))
    return weights / weights.sum()


def by_loops(learner, support, query, episode):
    """Logits and weights of one episode; every prototype of every query is formed."""
    value = {name: p.detach().numpy() for name, p in learner.named_parameters()}
    project = np.eye(DIM) + value["projection.weight"]
    evidence, n_texts = [], []
    for c in range(support.mask.shape[1]):
        real = support.mask[episode, c].numpy()
        texts = list(support.features[episode, c].numpy()[real])
        n_texts.append(len(texts))
        names = [support.label_names[episode, c].numpy()] if support.label_names is not None else []
        evidence.append([unit(x @ project) for x in texts + names])
    means = [np.mean(e, axis=0) for e in evidence]
    within = np.mean([np.mean((np.array(e) - m) ** 2, axis=0) for e, m in zip(evidence, means, strict=True)], axis=0)
    between = np.var(means, axis=0)
    u = value["variance_weights"]
    r = DIM * softmax(u[0] * np.log(between + 1e-4) + u[1] * np.log(within + 1e-4))
    rescaled = [[unit(np.sqrt(r) * z) for z in e] for e in evidence]
    logits, weights = [], []
    for q in query[episode].numpy():
        q = unit(np.sqrt(r) * unit(q @ project))
        row = []
        for e, k in zip(rescaled, n_texts, strict=True):
            strength = []
            for m, z in enumerate(e):
                others = [n for n in range(len(e)) if n != m]
                agreement = np.mean([z @ e[n] for n in others])
                name = value["name_prior"][0] + value["name_prior"][1] * math.log(k)
                prior = 0 if m < k else name
                # Cosines count in tens.
                strength.append(
                    prior + 10 * value["query_weight"] * (q @ z) + 10 * value["agreement_weight"] * agreement
                )
            weights.append(softmax(np.array(strength)))
            row.append(math.exp(value["log_scale"]) * q @ unit(weights[-1] @ np.array(e)))
        logits.append(row)
    return np.array(logits), weights


def double(support, query):
    names = support.label_names.double() if support.label_names is not None else None
    return Support(support.features.double(), support.mask, names), query.double()


@pytest.mark.parametrize("mask", [None, UNEQUAL], ids=["equal", "unequal"])
@pytest.mark.parametrize("names", [True, False], ids=["with names", "without names"])
def test_logits_and_weights_follow_the_formula(names, mask):
    support, query = double(*random_support(names=names))
    if mask is not None:
        support = replace(support, mask=mask.expand(3, 4, 5))
    learner = primed("attention_prototypical", DIM).double()
    with torch.no_grad():
        classifier = learner.adapt(support)
        logits, attention = classifier.logits(query).numpy(), classifier.attention(query).numpy()
    for episode in range(3):
        expected, weights = by_loops(learner, support, query, episode)
        # The shares of texts in a mean are of single precision.
        np.testing.assert_allclose(logits[episode], expected, atol=1e-6)
        found = attention[episode].reshape(12 * 4, -1)
        for row, ours in zip(weights, found, strict=True):
            np.testing.assert_allclose(np.sort(row), np.sort(ours)[-len(row) :], atol=1e-6)
            assert float(np.sort(ours)[: -len(row)].sum()) == 0
    assert float(attention.max()) > 0.5  # far from uniform, so that the comparison says something


@pytest.mark.parametrize("mask", [None, UNEQUAL], ids=["equal", "unequal"])
@pytest.mark.parametrize("names", [True, False], ids=["with names", "without names"])
def test_with_uniform_weights_it_is_the_prototypical_network(names, mask):
    support, query = double(*random_support(names=names))
    if mask is not None:
        support = replace(support, mask=mask.expand(3, 4, 5))
    ours, theirs = AttentionPrototypical(DIM, scale=13.0).double(), Prototypical(DIM, scale=13.0).double()
    weight = torch.randn(DIM, DIM, generator=seeded(), dtype=torch.double)
    with torch.no_grad():
        for learner in (ours, theirs):
            learner.projection.weight.copy_(weight)
        expected = theirs.adapt(support).logits(query).numpy()
        np.testing.assert_allclose(ours.adapt(support).logits(query).numpy(), expected, rtol=1e-10)


def test_weights_of_the_evidence_of_a_class_add_up_to_one_and_padding_has_none():
    support, query = random_support()
    support = replace(support, mask=UNEQUAL.expand(3, 4, 5))
    with torch.no_grad():
        attention = primed("attention_prototypical", DIM).adapt(support).attention(query)
    assert attention.shape == (3, 12, 4, 6)
    np.testing.assert_allclose(attention.sum(-1).numpy(), 1, rtol=1e-5)
    padding = ~torch.cat([support.mask, torch.ones(3, 4, 1, dtype=torch.bool)], dim=-1)
    assert float(attention[padding[:, None].expand_as(attention)].abs().max()) == 0


def one_wrong_label(k_shot=5):
    """Three tight classes; the first text of class 0 is really one of class 1."""
    means = 2 * torch.eye(3, DIM)
    generator = seeded(3)
    features = means[None, :, None] + 0.2 * torch.randn(8, 3, k_shot, DIM, generator=generator)
    features[:, 0, 0] = means[1] + 0.2 * torch.randn(8, DIM, generator=generator)
    query = means.repeat_interleave(4, 0) + 0.2 * torch.randn(8, 12, DIM, generator=generator)
    return Support(features, torch.ones(8, 3, k_shot, dtype=torch.bool)), query


def test_agreement_lowers_the_weight_of_a_wrongly_labelled_text():
    support, query = one_wrong_label()
    learner = AttentionPrototypical(DIM)
    with torch.no_grad():
        learner.agreement_weight.fill_(0.5)
        weights = learner.adapt(support).attention(query)[:, :, 0]
    wrong, right = weights[..., 0], weights[..., 1:]
    assert bool((wrong[..., None] < right).all())
    assert float(wrong.max()) < 0.1  # uniform would be 0.2


def test_agreement_makes_the_prototype_of_a_class_with_a_wrong_label_better():
    support, query = one_wrong_label(k_shot=3)
    learner = AttentionPrototypical(DIM)
    with torch.no_grad():
        before = learner.adapt(support).logits(query)[:, :4, 0].mean(1)
        learner.agreement_weight.fill_(0.5)
        after = learner.adapt(support).logits(query)[:, :4, 0].mean(1)
    assert bool((after > before).all())


def test_query_attention_gives_weight_to_the_evidence_that_is_near_the_query():
    """Class 0 has two senses; a query of the second has its weight there, so that it is no longer between them."""
    features = torch.zeros(1, 2, 2, DIM)
    features[0, 0, 0, 0] = features[0, 0, 1, 1] = features[0, 1, :, 2] = 1
    support = Support(features, torch.ones(1, 2, 2, dtype=torch.bool))
    query = torch.zeros(1, 1, DIM)
    query[..., 1] = 1
    learner = AttentionPrototypical(DIM, scale=1.0)
    with torch.no_grad():
        np.testing.assert_allclose(learner.adapt(support).logits(query)[0, 0, 0], math.sqrt(0.5), rtol=1e-5)
        learner.query_weight.fill_(0.2)
        classifier = learner.adapt(support)
        second = math.exp(2) / (1 + math.exp(2))  # the softmax of 0 and of 10 * 0.2
        np.testing.assert_allclose(classifier.attention(query)[0, 0, 0], [1 - second, second], rtol=1e-5)
        expected = second / math.hypot(second, 1 - second)
        np.testing.assert_allclose(classifier.logits(query)[0, 0, 0], expected, rtol=1e-5)


def test_feature_attention_is_spent_on_dimensions_that_tell_classes_apart():
    generator = seeded(5)
    features = torch.ones(1, 4, 5, DIM)
    features[..., :2] = 2 * torch.randn(1, 4, 1, 2, generator=generator).expand(1, 4, 5, 2)
    features[..., 2:4] += torch.randn(1, 4, 5, 2, generator=generator)
    learner = AttentionPrototypical(DIM)
    with torch.no_grad():
        learner.variance_weights.copy_(torch.tensor([1.0, -1.0]))
        scale = learner.adapt(Support(features, torch.ones(1, 4, 5, dtype=torch.bool))).dimension_scale[0, 0]
    assert float(scale.square().sum()) == pytest.approx(DIM, rel=1e-5)
    assert float(scale[:2].min()) > 3 * float(scale[2:4].max())


def test_the_weight_of_a_label_name_falls_with_the_shots_where_it_was_learned_to():
    learner = AttentionPrototypical(DIM)
    with torch.no_grad():
        learner.name_prior.copy_(torch.tensor([1.5, -1.0]))
        for k in (1, 2, 5):
            support, query = random_support(k_shot=k)
            weight = learner.adapt(support).attention(query)[..., -1]
            # exp(1.5 - log k) against k texts of exp(0) each.
            np.testing.assert_allclose(weight.numpy(), math.exp(1.5) / k / (math.exp(1.5) / k + k), rtol=1e-5)


@pytest.mark.parametrize("switch", ["query_attention", "agreement_attention", "feature_attention"])
def test_an_attention_that_is_switched_off_is_not_trained(switch):
    parameter = {
        "query_attention": "query_weight",
        "agreement_attention": "agreement_weight",
        "feature_attention": "variance_weights",
    }[switch]
    learner = AttentionPrototypical(DIM, **{switch: False})
    frozen = [name for name, p in learner.named_parameters() if not p.requires_grad]
    assert frozen == [parameter]
    support, query = random_support()
    learner.loss(support, query, torch.zeros(3, 12, dtype=torch.long)).backward()
    assert getattr(learner, parameter).grad is None
