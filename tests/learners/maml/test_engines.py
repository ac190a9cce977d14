"""Parity with learn2learn: its loop as its examples write it, and this learner run through it."""

import pytest
import torch
from torch import nn

from fewshot.learners import MAML, Support
from fewshot.learners.maml import learn2learn
from tests.synthetic import random_support, seeded

pytestmark = pytest.mark.skipif(
    not learn2learn.is_installed(), reason=f"learn2learn is not installed: {learn2learn.HOW_TO_GET_IT}"
)

DIM, WAYS, STEPS, RATE = 6, 4, 3, 0.1
TARGETS = torch.arange(WAYS).repeat_interleave(3).expand(3, -1)


def double(names=True):
    support, query = random_support(names=names)
    label_names = support.label_names.double() if names else None
    mask = torch.rand(support.mask.shape, generator=seeded(2)) < 0.7
    mask[..., 0] = True
    return Support(support.features.double(), mask, label_names), query.double()


def maml(**settings):
    """A learner in double precision whose every parameter was moved away from its first value."""
    learner = MAML(DIM, inner_lr=RATE, inner_steps=STEPS, **{"scale": 3.0} | settings).double()
    generator = seeded(5)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return learner


def meta_gradients(learner, support, query):
    loss = learner.loss(support, query, TARGETS)
    loss.backward()
    gradients = {name: p.grad for name, p in learner.named_parameters() if p.grad is not None}
    return float(loss.detach()), gradients


@pytest.mark.parametrize("first_order", [False, True], ids=["second order", "first order"])
@pytest.mark.parametrize("hidden", [None, 5], ids=["linear", "two layers"])
@pytest.mark.parametrize("meta_sgd", [False, True], ids=["MAML", "MetaSGD"])
def test_meta_gradients_are_those_of_learn2learns_own_loop(meta_sgd, hidden, first_order):
    """Its algorithms on torch's own layers, task by task, as its documentation has it."""
    support, query = double(names=False)
    settings = {"adapts": "network" if hidden else "head", "hidden": hidden, "head_init": "learned", "ways": WAYS}
    kind = "per_parameter" if meta_sgd else "fixed"
    ours = maml(**settings, scale=1.0, first_order=first_order, rates=kind).on_embedded()
    with torch.no_grad():
        ours.log_scale.zero_()
        for change in ours.rates.changes.parameters():
            change.zero_()
    module = nn.Sequential(*([nn.Linear(DIM, hidden), nn.ReLU()] if hidden else []), nn.Linear(hidden or DIM, WAYS))
    module.double()
    with torch.no_grad():
        for theirs, mine in zip(module.parameters(), ours.first.parameters(), strict=True):
            theirs.copy_(mine)
    algorithms = learn2learn.algorithms()
    wrapped = (algorithms.MetaSGD if meta_sgd else algorithms.MAML)(module, lr=RATE, first_order=first_order)
    total = torch.zeros((), dtype=torch.double)
    for task in range(3):
        clone, real = wrapped.clone(), support.mask[task]
        ways = torch.arange(WAYS)[:, None].expand_as(real)[real]
        for _ in range(STEPS):
            clone.adapt(nn.functional.cross_entropy(clone(support.features[task][real]), ways))
        total = total + nn.functional.cross_entropy(clone(query[task]), TARGETS[task])
    (total / 3).backward()
    meta_gradients(ours, support, query)
    for theirs, mine in zip(module.parameters(), ours.first.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=1e-6)
        assert float(theirs.grad.abs().max()) > 1e-3
    if meta_sgd:  # ours learns the change of a rate in units of its first value
        for theirs, change in zip(wrapped.lrs, ours.rates.changes.parameters(), strict=True):
            torch.testing.assert_close(change.grad, RATE * theirs.grad, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"first_order": True},
        {"rates": "learned"},
        {"rates": "per_parameter"},
        {"multi_step_loss": True},
        {"hidden": 5},
        {"hidden": 5, "adapts": "network"},
        {"hidden": 5, "adapts": "network", "rates": "per_parameter"},
        {"hidden": 5, "adapts": "network", "reptile": True},
        {"head_init": "learned", "ways": WAYS},
        {"head_init": "learned", "ways": WAYS, "rates": "per_parameter", "first_order": True},
        {"head_init": "learned", "ways": WAYS, "reptile": True},
    ],
    ids=str,
)
def test_the_engines_agree(settings):
    support, query = double()
    loss, gradients = meta_gradients(maml(**settings), support, query)
    theirs, expected = meta_gradients(maml(**settings, engine="learn2learn"), support, query)
    assert loss == pytest.approx(theirs, abs=1e-9)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=1e-6)
    with torch.no_grad():
        logits = [maml(**settings, engine=engine).adapt(support).logits(query) for engine in ("fewshot", "learn2learn")]
    torch.testing.assert_close(*logits)
    assert not logits[1].requires_grad
