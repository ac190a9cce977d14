"""Elastic weight consolidation on a tiny encoder."""

import pytest
import torch
from torch.nn.functional import normalize

from fewshot.continual import Consolidation
from fewshot.continual.consolidation import ConsolidationObjective
from fewshot.continual.rows import with_new_rows
from fewshot.encoders import Full, TrainableEncoder
from fewshot.fitted.memory import Fisher
from fewshot.learners.centroid import NearestPrototype
from tests.adaptation.conftest import *  # noqa: F403  (its fixtures)
from tests.adaptation.conftest import QUICK, coloured

SETTINGS = {**QUICK, "epochs": 3.0, "trainable": Full(encoder_dropout=0.0), "learning_rate": 1e-3}


def problem(encoder, per_class=3):
    texts, labels = coloured(per_class)
    classes = torch.tensor([("red", "green", "blue").index(label) for label in labels])
    features = normalize(encoder.encode(texts), dim=-1)
    sums = torch.zeros(3, features.shape[1]).index_add_(0, classes, features)
    return texts, classes, NearestPrototype(normalize(sums, dim=-1)[None], 20.0)


def test_fisher_is_the_mean_squared_gradient_of_drawn_labels(encoder):
    texts, classes, classifier = problem(encoder, 1)
    settings = Consolidation(**SETTINGS)
    found = settings.fisher(encoder, classifier, 50.0, texts, classes, seed=0)
    assert found.values.keys() == settings.fisher(encoder, classifier, 50.0, texts, classes, seed=0).values.keys()
    copied = TrainableEncoder(encoder, settings.trainable).eval()
    weights = {name: own for name, own in copied.module.named_parameters() if own.requires_grad}
    # Over all outcomes of the draw: three texts, three labels each.
    outcomes = []
    for text in texts:
        scores = (classifier.logits(normalize(copied.embed_texts([text]), dim=-1)[None])[0, 0] / 50.0).log_softmax(-1)
        outcomes.append([torch.autograd.grad(score, list(weights.values()), retain_graph=True) for score in scores])
    name = max(found.values, key=lambda key: float(found.values[key].sum()))
    place = list(weights).index(name)
    means = [
        (first[place].square() + second[place].square() + third[place].square()) / 3
        for first in outcomes[0]
        for second in outcomes[1]
        for third in outcomes[2]
    ]
    assert min(float((found.values[name] - mean).abs().max()) for mean in means) < 1e-7


def test_the_penalty_is_the_weighted_squared_distance(encoder):
    texts, classes, classifier = problem(encoder, 1)
    settings = Consolidation(**SETTINGS, strength=10.0)
    copied = TrainableEncoder(encoder, settings.trainable)
    head = with_new_rows(classifier, torch.arange(3), 3, encoder.encode(texts), classes)
    weights = {name: own for name, own in copied.module.named_parameters() if own.requires_grad}
    held = next(iter(weights))
    fisher = Fisher({name: torch.full_like(own.detach(), 2.0 * (name == held)) for name, own in weights.items()})
    objective = ConsolidationObjective(copied, head, texts, classes, fisher, settings)
    assert objective(torch.arange(3))["penalty"].item() == 0
    with torch.no_grad():
        for own in weights.values():
            own.flatten()[0] += 0.1
    losses = objective(torch.arange(3))
    assert losses["penalty"].item() == pytest.approx(10 / 2 * 2 * 0.1**2, rel=1e-3)
    assert losses["loss"].item() == pytest.approx((losses["task"] + losses["penalty"]).item())
    without = ConsolidationObjective(copied, head, texts, classes, None, settings)(torch.arange(3))
    assert without["loss"].item() == pytest.approx(losses["task"].item(), rel=1e-4)


def test_rows_of_labels_without_new_texts_stay(encoder):
    texts, classes, classifier = problem(encoder)
    head = with_new_rows(classifier, torch.arange(3), 3, encoder.encode(texts), classes)
    only = classes == 1
    chosen = [text for text, own in zip(texts, only.tolist(), strict=True) if own]
    settings = Consolidation(**SETTINGS)
    _, trained = settings.train(encoder, head, chosen, classes[only], None, seed=0)
    assert torch.equal(trained.rows[[0, 2]], head.rows[[0, 2]])
    assert not torch.allclose(trained.rows[1], head.rows[1])


def test_fisher_of_tasks_adds_up():
    one, two = Fisher({"w": torch.tensor([1.0, 2.0])}), Fisher({"w": torch.tensor([3.0, 0.0])})
    assert (one.scaled(0.5) + two).values["w"].tolist() == [3.5, 1.0]
