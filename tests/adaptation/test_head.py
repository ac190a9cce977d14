"""The head against its formula, its tuning, and the comparison on held-out texts against NumPy."""

import numpy as np
import pytest
import torch

from fewshot.adaptation import HeadTuner
from fewshot.adaptation.head import Comparison, CosineHead
from fewshot.episodes import LabelledTexts
from fewshot.errors import ConfigError
from fewshot.evaluation.metrics import expected_calibration_error
from fewshot.learners import LEARNERS
from fewshot.learners.prototypical import ResidualProjection
from tests.fakes import FakeEncoder
from tests.synthetic import primed, seeded

CLASSES = torch.tensor([0, 0, 0, 1, 2, 2])


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def prototypes(features, classes=CLASSES, names=None, n_classes=3, learner=None, **settings):
    """The head from which tuning starts."""
    labels = tuple(f"class {c}" for c in range(n_classes))
    support = LabelledTexts([*map(str, range(len(classes)))], classes, labels, None if names is None else labels)
    everything = features if names is None else torch.cat([features, names])
    return HeadTuner(**settings).start(everything, support, learner)


def test_it_goes_by_the_nearest_prototype_with_names_as_examples():
    features, names, query = drawn(6, 5), drawn(3, 5, seed=1), drawn(4, 5, seed=2)
    head = prototypes(features, names=names, scale=7.0)
    x, n = unit(features.numpy()), unit(names.numpy())
    rows = [unit(np.concatenate([x[c == CLASSES], n[c : c + 1]]).mean(0)) for c in range(3)]
    expected = 7 * unit(query.numpy()) @ np.stack(rows).T
    np.testing.assert_allclose(head(query).detach().numpy(), expected, atol=1e-5)


def test_a_class_without_texts_goes_by_its_name():
    names = drawn(4, 5, seed=1)
    head = prototypes(drawn(6, 5), names=names, n_classes=4)
    np.testing.assert_allclose(head.rows[3].detach().numpy(), unit(names[3].numpy()), atol=1e-6)


def test_lengths_of_features_and_rows_do_not_matter():
    head = prototypes(drawn(6, 5))
    query = drawn(4, 5, seed=2)
    before = head(query)
    head.rows.data *= torch.tensor([[2.0], [0.5], [9.0]])
    torch.testing.assert_close(head(3 * query), before)


@pytest.mark.parametrize("name", ["prototypical", "attention_prototypical"])
def test_it_goes_through_the_projection_of_a_meta_trained_learner(name):
    learner = primed(name, 5)
    learner.prepare(drawn(3, 5, seed=4))
    features, query = drawn(6, 5), drawn(4, 5, seed=2)
    head = prototypes(features, learner=learner, scale=1.0)
    with torch.no_grad():
        z = learner.projection(torch.nn.functional.normalize(features, dim=-1)).numpy()
        q = learner.projection(torch.nn.functional.normalize(query, dim=-1)).numpy()
    rows = np.stack([unit(z[c == CLASSES].mean(0)) for c in range(3)])
    np.testing.assert_allclose(head(query).detach().numpy(), q @ rows.T, atol=1e-5)
    assert head.projection is not learner.projection
    assert [parameter_name for parameter_name, p in head.named_parameters() if p.requires_grad] == ["rows"]


def test_a_learner_without_a_projection_leaves_features_as_they_are():
    features = drawn(6, 5)
    plain = prototypes(features)
    with_learner = prototypes(features, learner=LEARNERS["centroid"](5))
    assert torch.equal(plain.rows, with_learner.rows)


def test_a_share_of_the_mean_over_classes_is_taken_away():
    features = drawn(6, 5) + 3
    head = prototypes(features, centring=0.5)
    x = unit(features.numpy())
    centre = 0.5 * np.stack([x[c == CLASSES].mean(0) for c in range(3)]).mean(0)
    np.testing.assert_allclose(head.projection.centre.numpy(), centre, atol=1e-6)


def test_a_learner_that_was_never_trained_brings_no_centre():
    features, classes = torch.randn(12, 8, generator=torch.Generator().manual_seed(0)) + 1, torch.arange(12) % 3
    for learner in (None, LEARNERS["prototypical"](8)):
        head = prototypes(features, classes, learner=learner, centring=1.0)
        assert float(head.projection.centre.norm()) > 0.5


def test_its_state_is_all_that_there_is_to_it():
    head = prototypes(drawn(6, 5), scale=12.0, centring=0.3)
    head.temperature.fill_(1.7)
    other = CosineHead(ResidualProjection(5), torch.zeros(3, 5), 1.0)
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(drawn(4, 5, seed=2)), head(drawn(4, 5, seed=2)))
    assert other.temperature == head.temperature
    assert len(other.rows) == 3


def problem(per_class, n_classes=6, dim=24, names=True, seed=0, nuisance=1.5):
    """Classes that differ in a few dimensions, with a common nuisance that prototypes are fooled by."""
    generator = seeded(seed)
    means = torch.zeros(n_classes, dim)
    means[:, :6] = torch.randn(n_classes, 6, generator=seeded(7))
    spread = torch.full((dim,), 0.3)
    spread[6:10] = nuisance

    def draw(count):
        labels = torch.arange(n_classes).repeat_interleave(count)
        return means[labels] + spread * torch.randn(len(labels), dim, generator=generator), labels

    (support, classes), query = draw(per_class), draw(50)
    labels = tuple(f"class {c}" for c in range(n_classes))
    features = (
        torch.cat([support, means + 0.3 * torch.randn(n_classes, dim, generator=generator)]) if names else support
    )
    return features, LabelledTexts([*map(str, range(len(classes)))], classes, labels, labels if names else None), query


def accuracy(head, query):
    with torch.no_grad():
        return float((head(query[0]).argmax(1) == query[1]).double().mean())


@pytest.mark.parametrize("names", [True, False])
def test_it_pays_where_prototypes_are_fooled(names):
    features, support, query = problem(20, names=names, nuisance=2.5)
    tuner = HeadTuner()
    head, comparison, pull = tuner.tuned(features, support, None, seed=0)
    assert pull in tuner.l2_to_prototypes
    assert comparison.after > comparison.before
    assert comparison.n_texts == 120
    assert accuracy(head, query) > accuracy(tuner.start(features, support, None), query) + 0.05


def test_the_prototypes_stay_where_it_does_not():
    features, support, _ = problem(8, nuisance=0.0)
    features = features + 1.5 * torch.randn(features.shape, generator=seeded(3))  # as bad in all directions
    tuner = HeadTuner(margin=2.0)
    head, _, pull = tuner.tuned(features, support, None, seed=0)
    assert pull is None
    assert torch.equal(head.rows, tuner.start(features, support, None).rows)


def test_one_text_per_class_tunes_nothing():
    features, support, _ = problem(1)
    head, comparison, pull = HeadTuner().tuned(features, support, None, seed=0)
    assert (pull, comparison.n_texts) == (None, 0)
    assert head.temperature == 1


def test_the_pull_holds_rows_to_the_prototypes():
    features, support, _ = problem(5)
    tuner = HeadTuner()
    start = tuner.start(features, support, None)
    rows = [tuner.tune(start, features, support, pull).rows.detach() for pull in (0.01, 1.0, 1e4)]
    moved = [float((own - start.rows.detach()).norm()) for own in rows]
    assert moved[0] > moved[1] > moved[2]
    assert moved[2] < 1e-2
    assert tuner.tune(start, features, support, None) is start


def test_it_ends_where_the_gradient_of_the_docstrings_formula_is_zero():
    features, support, _ = problem(4)
    classes = support.with_names_as_texts().classes
    tuner = HeadTuner(iterations=500)
    start = tuner.start(features, support, None)
    head = tuner.tune(start, features, support, 0.5)
    rows = head.rows.detach().double().requires_grad_()
    z = torch.nn.functional.normalize(features.double(), dim=-1)
    logits = 20 * z @ torch.nn.functional.normalize(rows, dim=-1).T
    losses = torch.nn.functional.cross_entropy(logits, classes, reduction="none")
    mean_of_classes = torch.stack([losses[classes == c].mean() for c in range(6)]).mean()
    penalty = 0.5 / 6 * (rows - start.rows.detach().double()).square().sum()
    (gradient,) = torch.autograd.grad(mean_of_classes + penalty, rows)
    assert gradient.abs().max() < 1e-4
    assert (head.rows - start.rows).detach().norm() > 0.1


def test_probabilities_are_calibrated_on_texts_that_were_held_out():
    features, support, query = problem(10)
    head, _, _ = HeadTuner().tuned(features, support, None, seed=0)
    with torch.no_grad():
        logits = head(query[0])
    calibrated, raw = (
        expected_calibration_error(logits[None] / t, query[1][None]) for t in (float(head.temperature), 1.0)
    )
    assert calibrated < 0.1
    assert calibrated < raw


def test_the_same_seed_gives_the_same_head_and_leaves_the_global_generator():
    features, support, _ = problem(6)
    before = torch.get_rng_state()
    first, again = (HeadTuner().tuned(features, support, None, seed=3)[0] for _ in range(2))
    assert torch.equal(first.rows, again.rows)
    assert torch.equal(torch.get_rng_state(), before)


def test_from_texts_to_labels():
    texts = [f"{animal} number {n} likes {animal}food" for animal in ("bear", "crow") for n in range(6)]
    labels = [text.split()[0] for text in texts]
    classifier = HeadTuner().fit(FakeEncoder(), LabelledTexts.of(texts, labels))
    assert classifier.predict(["crowfood", "the bear"]) == ["crow", "bear"]
    assert classifier.details["stage"] in ("prototypes", "head")
    torch.testing.assert_close(classifier.predict_proba(texts).sum(1), torch.ones(12))


def test_label_names_alone_are_enough():
    support = LabelledTexts.of([], [], {"b": "bearfood", "c": "crowfood"})
    classifier = HeadTuner().fit(FakeEncoder(), support)
    assert classifier.details["stage"] == "zero_shot"
    assert classifier.predict(["some crowfood", "bearfood"]) == ["c", "b"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("l2_to_prototypes", []),
        ("l2_to_prototypes", [-1.0]),
        ("folds", 1),
        ("margin", -0.1),
        ("scale", 0.0),
        ("centring", 1.1),
        ("iterations", 0),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(ConfigError, match=rf"Got adaptation\.{name}="):
        HeadTuner(**{name: value})


def comparison(gains, losses, same):
    before = torch.tensor([False] * gains + [True] * losses + [True] * same, dtype=torch.bool)
    after = torch.tensor([True] * gains + [False] * losses + [True] * same, dtype=torch.bool)
    return Comparison.of(before, after)


def test_the_standard_error_is_that_of_paired_differences():
    found = comparison(9, 4, 27)
    differences = np.array([1] * 9 + [-1] * 4 + [0] * 27)
    assert found.standard_error == pytest.approx(differences.std() / 40**0.5)
    assert found.before == pytest.approx(31 / 40)
    assert found.after - found.before == pytest.approx(differences.mean())


def test_a_gain_has_to_be_larger_than_chance():
    assert not comparison(5, 4, 91).pays(1.0)
    assert comparison(5, 4, 91).pays(0.0)
    assert comparison(9, 1, 90).pays(2.0)
    assert not comparison(9, 1, 90).pays(3.0)


def test_without_a_gain_nothing_changes_however_small_the_margin():
    assert not comparison(0, 0, 10).pays(0.0)
    assert not comparison(1, 2, 10).pays(0.0)
    assert not comparison(0, 0, 0).pays(0.0)


def test_a_single_text_is_no_gain_to_speak_of():
    assert comparison(1, 0, 23).pays(0.0)
    assert not comparison(1, 0, 23).pays(1.0)
    assert comparison(2, 0, 22).pays(1.0)
