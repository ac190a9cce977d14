"""Tuning the head on features: what it minimises, when it pays, and when there is nothing to ask."""

import pytest
import torch

from fewshot.adaptation import HeadTuner, LabelledTexts
from fewshot.errors import ConfigError
from fewshot.evaluation.metrics import expected_calibration_error
from tests.fakes import FakeEncoder
from tests.synthetic import seeded


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
    return features, LabelledTexts([""] * len(classes), classes, labels, labels if names else None), query


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
        expected_calibration_error(logits[None], query[1][None], t) for t in (float(head.temperature), 1.0)
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
