"""What every learner promises, whatever its algorithm."""

import copy
import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch

from fewshot.errors import ConfigError
from fewshot.learners import LEARNERS, Support
from tests.synthetic import primed, random_support

DIM = 6
every_learner = pytest.mark.parametrize("name", LEARNERS)
with_and_without_names = pytest.mark.parametrize("names", [True, False], ids=["with names", "without names"])


@torch.no_grad()
def logits_of(learner, support, query):
    return learner.adapt(support).logits(query)


def close(ours, theirs):
    """Equal but for the order in which floats are added up."""
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-4)


@every_learner
@with_and_without_names
def test_logits_have_a_row_for_each_query_and_a_column_for_each_way(name, names):
    support, query = random_support(episodes=3, n_way=4, names=names)
    logits = logits_of(primed(name, DIM), support, query)
    assert logits.shape == (3, 12, 4)
    assert bool(logits.isfinite().all())
    assert float(logits.std()) > 0.1


@every_learner
@with_and_without_names
def test_permuting_classes_permutes_logits(name, names):
    support, query = random_support(names=names)
    order = torch.tensor([2, 0, 3, 1])
    turned = Support(
        support.features[:, order], support.mask[:, order], support.label_names[:, order] if names else None
    )
    learner = primed(name, DIM)
    close(logits_of(learner, turned, query), logits_of(learner, support, query)[..., order])


@every_learner
@with_and_without_names
def test_the_order_of_the_support_does_not_matter(name, names):
    support, query = random_support(names=names)
    learner = primed(name, DIM)
    shuffled = replace(support, features=support.features[:, :, torch.tensor([3, 1, 4, 0, 2])])
    close(logits_of(learner, shuffled, query), logits_of(learner, support, query))


@every_learner
def test_the_order_of_the_queries_does_not_matter(name):
    support, query = random_support()
    learner = primed(name, DIM)
    close(logits_of(learner, support, query.flip(1)), logits_of(learner, support, query).flip(1))


@every_learner
@with_and_without_names
@pytest.mark.parametrize("garbage", [0.0, 1e6, float("nan"), float("inf")])
def test_padding_is_as_if_it_were_not_there(name, names, garbage):
    support, query = random_support(k_shot=3, names=names)
    padding = torch.full((3, 4, 2, DIM), garbage)
    padded = Support(
        torch.cat([support.features[:, :, :1], padding, support.features[:, :, 1:]], dim=2),
        torch.tensor([True, False, False, True, True]).expand(3, 4, 5),
        support.label_names,
    )
    learner = primed(name, DIM)
    close(logits_of(learner, padded, query), logits_of(learner, support, query))


@every_learner
def test_a_padded_class_beside_a_full_one_is_that_of_its_own_texts(name):
    """Twice the same support, once with the texts of class 0 doubled: centroids, not counts, in `centroid`."""
    support, query = random_support(episodes=1, n_way=2, k_shot=4, names=False)
    mask = torch.tensor([[[True, True, False, False], [True] * 4]])
    learner = primed(name, DIM)
    unequal = logits_of(learner, Support(support.features, mask), query)
    changed = support.features.clone()
    changed[0, 0, 2:] = 5.0
    close(logits_of(learner, Support(changed, mask), query), unequal)
    assert not torch.allclose(logits_of(learner, support, query), unequal, atol=1e-2)


@every_learner
def test_gradients_through_padding_are_finite(name):
    support, query = random_support(k_shot=3)
    features = support.features.clone()
    features[:, 0, 2] = float("nan")
    mask = support.mask.clone()
    mask[:, 0, 2] = False
    learner = primed(name, DIM)
    loss = learner.loss(Support(features, mask, support.label_names), query, torch.zeros(3, 12, dtype=torch.long))
    if learner.is_meta_trained:
        loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in learner.parameters())
    assert np.isfinite(float(loss.detach()))


@every_learner
def test_logits_twice_are_the_same_and_one_query_does_not_change_another(name):
    support, query = random_support()
    with torch.no_grad():
        classifier = primed(name, DIM).adapt(support)
        first = classifier.logits(query)
        alone = classifier.logits(query[:, :1])
        assert torch.equal(classifier.logits(query), first)
    close(alone, first[:, :1])


@every_learner
def test_adapting_changes_neither_the_learner_nor_the_support(name):
    support, query = random_support()
    learner = primed(name, DIM)
    before, seen = copy.deepcopy(learner.state_dict()), copy.deepcopy(support)
    learner.adapt(support).logits(query)
    after = learner.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert torch.equal(support.features, seen.features)
    assert torch.equal(support.label_names, seen.label_names)


@every_learner
def test_adapting_to_one_support_does_not_change_an_earlier_classifier(name):
    (support, query), (other, _) = random_support(seed=1), random_support(seed=2)
    learner = primed(name, DIM)
    with torch.no_grad():
        classifier = learner.adapt(support)
        first = classifier.logits(query)
        second = learner.adapt(other).logits(query)
        assert torch.equal(classifier.logits(query), first)
    assert not torch.allclose(first, second)


@every_learner
def test_a_classifier_cannot_be_changed(name):
    classifier = primed(name, DIM).adapt(random_support()[0])
    field = dataclasses.fields(classifier)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(classifier, field, getattr(classifier, field))


@every_learner
def test_label_names_are_one_more_piece_of_evidence(name):
    support, query = random_support()
    learner = primed(name, DIM)
    with_names = logits_of(learner, support, query)
    assert not torch.allclose(with_names, logits_of(learner, replace(support, label_names=None), query), atol=1e-2)
    moved = replace(support, label_names=-support.label_names)
    assert not torch.allclose(with_names, logits_of(learner, moved, query), atol=1e-2)


@every_learner
@with_and_without_names
def test_a_batch_of_episodes_is_each_episode_by_itself(name, names):
    support, query = random_support(episodes=4, names=names)
    learner = primed(name, DIM)
    together = logits_of(learner, support, query)
    for e in range(4):
        label_names = support.label_names[e : e + 1] if names else None
        alone = Support(support.features[e : e + 1], support.mask[e : e + 1], label_names)
        close(logits_of(learner, alone, query[e : e + 1]), together[e : e + 1])


@every_learner
def test_one_shot_works(name):
    support, query = random_support(k_shot=1, names=False)
    assert bool(logits_of(primed(name, DIM), support, query).isfinite().all())


@every_learner
def test_the_metric_space_does_not_depend_on_the_other_texts(name):
    support, query = random_support()
    with torch.no_grad():
        classifier = primed(name, DIM).adapt(support)
        mapped = classifier.metric(query)
        close(mapped.norm(dim=-1), torch.ones(3, 12))
        close(classifier.metric(query[:, 2:5]), mapped[:, 2:5])


@every_learner
def test_the_loss_is_the_mean_cross_entropy_of_the_queries(name):
    support, query = random_support()
    targets = torch.arange(4).repeat_interleave(3).expand(3, -1)
    learner = primed(name, DIM)
    logits = logits_of(learner, support, query).double().numpy()
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = -np.take_along_axis(log_probabilities, targets.numpy()[..., None], axis=-1).mean()
    assert float(learner.loss(support, query, targets).detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("names", [True, False], ids=["with names", "without names"])
@pytest.mark.parametrize("start", [True, False], ids=["first values", "later values"])
@pytest.mark.parametrize("name", ["prototypical", "attention_prototypical", "maml"])
def test_gradients_reach_every_parameter(name, start, names):
    learner = LEARNERS[name](DIM) if start else primed(name, DIM)
    support, query = random_support(names=names)
    learner.loss(support, query, torch.arange(4).repeat_interleave(3).expand(3, -1)).backward()
    without = {key for key, p in learner.named_parameters() if p.grad is None or not bool(p.grad.any())}
    assert without == ({"name_prior"} if name == "attention_prototypical" and not names else set())


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("centroid", False),
        ("logistic", False),
        ("ridge", False),
        ("prototypical", True),
        ("attention_prototypical", True),
        ("maml", True),
    ],
)
def test_only_learners_with_parameters_are_meta_trained(name, trained):
    assert LEARNERS[name](DIM).is_meta_trained is trained


@every_learner
def test_no_features_are_refused(name):
    with pytest.raises(ConfigError, match=r"Got learner\.dim=0\. Expected a positive number for dim"):
        LEARNERS[name](0)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("centroid", "scale"),
        ("logistic", "C"),
        ("ridge", "penalty"),
        ("ridge", "scale"),
        ("prototypical", "scale"),
        ("attention_prototypical", "scale"),
        ("maml", "inner_lr"),
        ("maml", "meta_lr"),
    ],
)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_settings_that_are_not_above_zero_are_refused(name, setting, value):
    with pytest.raises(ConfigError, match=rf"Got learner\.{setting}={value}\. Expected a positive number"):
        LEARNERS[name](DIM, **{setting: value})


def test_logistic_refuses_to_take_no_step():
    with pytest.raises(ConfigError, match=r"Got learner\.steps=0\. Expected a positive number"):
        LEARNERS["logistic"](DIM, steps=0)


@every_learner
@with_and_without_names
@pytest.mark.parametrize("sizes", [(4, 1, 5), (0, 2, 0)], ids=["unequal", "some without texts"])
@torch.no_grad()
def test_texts_one_below_the_other_are_an_episode(monkeypatch, name, names, sizes):
    """`adapt_rows` in parts smaller than a class."""
    if 0 in sizes and not names:
        return
    monkeypatch.setattr("fewshot.learners.centroid._CHUNK", 3)
    support, query = random_support(episodes=1, n_way=3, k_shot=5, names=names)
    mask = torch.arange(5) < torch.tensor(sizes)[None, :, None]
    order = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(0))
    rows, classes = support.features[mask][order], mask.nonzero()[:, 1][order]
    learner = primed(name, DIM)
    expected = logits_of(learner, Support(support.features, mask, support.label_names), query)
    of_names = support.label_names[0] if names else None
    close(learner.adapt_rows(rows, classes, 3, of_names).logits(query), expected)


def test_attention_over_much_evidence_is_computed_in_parts(monkeypatch):
    support, query = random_support(episodes=2, n_way=4)
    learner = primed("attention_prototypical", DIM)
    whole = logits_of(learner, support, query)
    monkeypatch.setattr("fewshot.learners.attention_prototypical._PASS", 100)  # two queries of each episode
    close(logits_of(learner, support, query), whole)
