"""The cosine head against a few lines of NumPy."""

import numpy as np
import pytest
import torch

from fewshot.adaptation.head import CosineHead
from fewshot.learners import LEARNERS
from fewshot.learners.prototypical import ResidualProjection
from tests.synthetic import primed, seeded

CLASSES = torch.tensor([0, 0, 0, 1, 2, 2])


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def test_it_goes_by_the_nearest_prototype_with_names_as_examples():
    features, names, query = drawn(6, 5), drawn(3, 5, seed=1), drawn(4, 5, seed=2)
    head = CosineHead.from_prototypes(features, CLASSES, names, 3, scale=7.0)
    x, n = unit(features.numpy()), unit(names.numpy())
    rows = [unit(np.concatenate([x[c == CLASSES], n[c : c + 1]]).mean(0)) for c in range(3)]
    expected = 7 * unit(query.numpy()) @ np.stack(rows).T
    np.testing.assert_allclose(head(query).detach().numpy(), expected, atol=1e-5)


def test_a_class_without_texts_goes_by_its_name():
    names = drawn(4, 5, seed=1)
    head = CosineHead.from_prototypes(drawn(6, 5), CLASSES, names, 4)
    np.testing.assert_allclose(head.rows[3].detach().numpy(), unit(names[3].numpy()), atol=1e-6)


def test_lengths_of_features_and_rows_do_not_matter():
    head = CosineHead.from_prototypes(drawn(6, 5), CLASSES, None, 3)
    query = drawn(4, 5, seed=2)
    before = head(query)
    head.rows.data *= torch.tensor([[2.0], [0.5], [9.0]])
    torch.testing.assert_close(head(3 * query), before)


@pytest.mark.parametrize("name", ["prototypical", "attention_prototypical"])
def test_it_goes_through_the_projection_of_a_meta_trained_learner(name):
    learner = primed(name, 5)
    learner.prepare(drawn(3, 5, seed=4))
    features, query = drawn(6, 5), drawn(4, 5, seed=2)
    head = CosineHead.from_prototypes(features, CLASSES, None, 3, scale=1.0, learner=learner)
    with torch.no_grad():
        z = learner.projection(torch.nn.functional.normalize(features, dim=-1)).numpy()
        q = learner.projection(torch.nn.functional.normalize(query, dim=-1)).numpy()
    rows = np.stack([unit(z[c == CLASSES].mean(0)) for c in range(3)])
    np.testing.assert_allclose(head(query).detach().numpy(), q @ rows.T, atol=1e-5)
    assert head.projection is not learner.projection
    assert [parameter_name for parameter_name, p in head.named_parameters() if p.requires_grad] == ["rows"]


def test_a_learner_without_a_projection_leaves_features_as_they_are():
    features = drawn(6, 5)
    plain = CosineHead.from_prototypes(features, CLASSES, None, 3)
    with_learner = CosineHead.from_prototypes(features, CLASSES, None, 3, learner=LEARNERS["centroid"](5))
    assert torch.equal(plain.rows, with_learner.rows)


def test_a_share_of_the_mean_over_classes_is_taken_away():
    features = drawn(6, 5) + 3
    head = CosineHead.from_prototypes(features, CLASSES, None, 3, centring=0.5)
    x = unit(features.numpy())
    centre = 0.5 * np.stack([x[c == CLASSES].mean(0) for c in range(3)]).mean(0)
    np.testing.assert_allclose(head.projection.centre.numpy(), centre, atol=1e-6)


def test_a_learner_that_was_never_trained_brings_no_centre():
    features, classes = torch.randn(12, 8, generator=torch.Generator().manual_seed(0)) + 1, torch.arange(12) % 3
    for learner in (None, LEARNERS["prototypical"](8)):
        head = CosineHead.from_prototypes(features, classes, None, 3, centring=1.0, learner=learner)
        assert float(head.projection.centre.norm()) > 0.5


def test_its_state_is_all_that_there_is_to_it():
    head = CosineHead.from_prototypes(drawn(6, 5), CLASSES, None, 3, scale=12.0, centring=0.3)
    head.temperature.fill_(1.7)
    other = CosineHead(ResidualProjection(5), torch.zeros(3, 5), 1.0)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(drawn(4, 5, seed=2)), head(drawn(4, 5, seed=2)))
    assert other.temperature == head.temperature
    assert len(other.rows) == 3
