"""The family: what each setting makes, and the combinations that are refused."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from fewshot.errors import ConfigError
from fewshot.learners import MAML, Prototypical, Support
from fewshot.learners.maml.settings import InnerRates
from tests.synthetic import random_support, seeded

DIM, WAYS = 6, 4
TARGETS = torch.arange(WAYS).repeat_interleave(3).expand(3, -1)
FAMILY = {
    "ProtoMAML": {},
    "FOMAML": {"first_order": True},
    "ANIL": {"hidden": 5},
    "two layers": {"hidden": 5, "adapts": "network"},
    "one learned rate": {"rates": "learned"},
    "Meta-SGD": {"rates": "per_parameter"},
    "Meta-SGD of two layers": {"rates": "per_parameter", "hidden": 5, "adapts": "network"},
    "MAML++": {"rates": "per_layer_and_step", "multi_step_loss": True},
    "Reptile": {"reptile": True, "hidden": 5, "adapts": "network"},
}
LEARNED_HEAD = {"head_init": "learned", "ways": WAYS}
family = pytest.mark.parametrize("settings", FAMILY.values(), ids=FAMILY)


def moved(**settings):
    learner = MAML(DIM, **{"inner_lr": 0.05, "inner_steps": 3} | settings)
    generator = seeded(0)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return learner


@torch.no_grad()
def logits_of(learner, support, query):
    return learner.adapt(support).logits(query)


@pytest.mark.parametrize("names", [True, False], ids=["with names", "without names"])
def test_before_the_first_step_the_default_is_the_prototypical_network(names):
    support, query = random_support(names=names)
    ours, theirs = MAML(DIM, inner_lr=1e-9), Prototypical(DIM)
    for learner in (ours, theirs):
        torch.nn.init.normal_(learner.projection.weight, std=0.3, generator=seeded(1))
    torch.testing.assert_close(logits_of(ours, support, query), logits_of(theirs, support, query))


def test_the_steps_fit_the_support():
    support, _ = random_support(names=False)
    texts, ways = support.features.flatten(1, 2), torch.arange(WAYS).repeat_interleave(5).expand(3, -1)
    losses = [
        float(cross_entropy(logits_of(MAML(DIM, inner_lr=0.02, inner_steps=n), support, texts).mT, ways))
        for n in (1, 5, 20)
    ]
    assert losses[0] > 1.05 * losses[1] > 1.1 * losses[2]


@family
def test_permuting_classes_permutes_logits(settings):
    support, query = random_support()
    order = torch.tensor([2, 0, 3, 1])
    turned = Support(support.features[:, order], support.mask[:, order], support.label_names[:, order])
    learner = moved(**settings)
    expected = logits_of(learner, support, query)[..., order]
    torch.testing.assert_close(logits_of(learner, turned, query), expected, rtol=1e-3, atol=1e-3)


@family
def test_the_order_of_the_support_does_not_matter(settings):
    support, query = random_support()
    learner = moved(**settings)
    shuffled = replace(support, features=support.features[:, :, torch.tensor([3, 1, 4, 0, 2])])
    expected = logits_of(learner, support, query)
    torch.testing.assert_close(logits_of(learner, shuffled, query), expected, rtol=1e-3, atol=1e-3)


@family
def test_padding_is_as_if_it_were_not_there(settings):
    support, query = random_support()
    mask = torch.ones(3, WAYS, 7, dtype=torch.bool)
    mask[:, :, 5:] = False
    padding = torch.full((3, WAYS, 2, DIM), float("nan"))
    padded = Support(torch.cat([support.features, padding], dim=2), mask, support.label_names)
    learner = moved(**settings)
    expected = logits_of(learner, support, query)
    torch.testing.assert_close(logits_of(learner, padded, query), expected, rtol=1e-3, atol=1e-3)


@family
def test_gradients_reach_all_that_is_trained(settings):
    support, query = random_support()
    learner = moved(**settings)
    learner.loss(support, query, TARGETS).backward()
    without = {name for name, p in learner.named_parameters() if p.requires_grad and not bool(p.grad.any())}
    assert without == set()
    assert learner.is_meta_trained


@family
def test_a_head_from_prototypes_takes_any_number_of_classes(settings):
    learner = moved(**settings)
    for n_way in (2, 7):
        support, query = random_support(n_way=n_way)
        assert logits_of(learner, support, query).shape == (3, 3 * n_way, n_way)


@pytest.mark.parametrize("settings", [{}, {"rates": "per_parameter"}, {"hidden": 5}], ids=str)
def test_a_learned_head_takes_its_own_number_of_classes_and_no_other(settings):
    learner = moved(**LEARNED_HEAD, **settings)
    support, query = random_support()
    assert learner.ways == WAYS
    assert logits_of(learner, support, query).shape == (3, 12, WAYS)
    with pytest.raises(
        ConfigError, match=r"Got episodes of 5 classes for a learned head of learner\.ways=4\. Set ways=4"
    ):
        learner.adapt(random_support(n_way=5)[0])


def test_second_order_differs_from_first_in_the_gradient_alone():
    support, query = random_support()
    losses = [moved(first_order=order).loss(support, query, TARGETS) for order in (False, True)]
    assert float(losses[0].detach()) == pytest.approx(float(losses[1].detach()), rel=1e-5)
    gradients = []
    for order in (False, True):
        learner = moved(first_order=order)
        learner.loss(support, query, TARGETS).backward()
        gradients.append(learner.projection.weight.grad)
    assert float((gradients[0] - gradients[1]).abs().max()) > 0.05 * float(gradients[0].abs().max())


def test_the_multi_step_loss_counts_later_steps_more():
    support, query = random_support()
    each = [float(moved(inner_steps=n).loss(support, query, TARGETS).detach()) for n in (1, 2, 3)]
    expected = (each[0] + 2 * each[1] + 3 * each[2]) / 6
    assert float(moved(multi_step_loss=True).loss(support, query, TARGETS).detach()) == pytest.approx(
        expected, rel=1e-5
    )
    assert abs(expected - each[2]) > 1e-3


@pytest.mark.parametrize("settings", [LEARNED_HEAD, {"hidden": 5, "adapts": "network"}], ids=["head", "network"])
def test_the_gradient_of_reptile_is_the_way_back_from_where_the_inner_loop_ends(settings):
    support, query = random_support()
    learner = moved(reptile=True, **settings)
    loss = learner.loss(support, query, TARGETS)
    loss.backward()
    with torch.no_grad():
        end = learner.adapt(support)
        assert float(loss.detach()) == pytest.approx(float(cross_entropy(end.logits(query).mT, TARGETS)), rel=1e-5)
        for name, parameter in learner.first.named().items():
            torch.testing.assert_close(parameter.grad, parameter - end.network.parameters()[name].mean(0))
            assert bool(parameter.grad.any())
    assert learner.projection.weight.grad is None


def test_the_loss_can_be_taken_without_gradients():
    support, query = random_support()
    for settings in ({}, {"rates": "per_parameter"}, {"reptile": True, **LEARNED_HEAD}):
        learner = moved(**settings)
        with torch.no_grad():
            free = learner.loss(support, query, TARGETS)
        assert not free.requires_grad
        torch.testing.assert_close(free, learner.loss(support, query, TARGETS).detach())


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "shapes"),
    [("fixed", []), ("learned", [()]), ("per_layer_and_step", [(3,), (3,)]), ("per_parameter", [(2, 5), (2,)])],
)
def test_rates_start_at_inner_lr_and_move_in_its_units(kind, shapes):
    rates = InnerRates(kind, 0.1, 3, {"weight": (2, 5), "bias": (2,)})
    assert [tuple(p.shape) for p in rates.parameters()] == shapes
    for step in range(3):
        assert all(float(torch.as_tensor(rate).max()) == pytest.approx(0.1) for rate in rates(step).values())
    for parameter in rates.parameters():
        parameter.fill_(0.5)
    expected = 0.1 if kind == "fixed" else 0.15
    assert float(torch.as_tensor(rates(2)["weight"]).min()) == pytest.approx(expected)


@torch.no_grad()
def test_rates_per_step_belong_to_their_step():
    rates = InnerRates("per_layer_and_step", 0.1, 3, {"weight": (2, 5), "bias": (2,)})
    rates.changes.named()["weight"][1] = 1.0
    assert [float(rates(step)["weight"]) for step in range(3)] == pytest.approx([0.1, 0.2, 0.1])
    assert [float(rates(step)["bias"]) for step in range(3)] == pytest.approx([0.1, 0.1, 0.1])


def test_first_weights_follow_the_seed():
    first, again, other = (MAML(DIM, hidden=5, seed=seed).first.named()["hidden.weight"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_meta_lr_is_handed_to_the_outer_loop():
    assert MAML(DIM, meta_lr=0.02).meta_lr == 0.02
    assert Prototypical(DIM).meta_lr is None


CONTRADICTIONS = {
    "a network of one layer": ({"adapts": "network"}, r"learner\.adapts=network without a hidden layer"),
    "a learned head of no size": ({"head_init": "learned"}, r"head_init=learned with learner\.ways=null"),
    "a learned head of one class": ({"head_init": "learned", "ways": 1}, r"learner\.ways=1: a learned head"),
    "prototypes of a fixed number": ({"ways": 5}, r"head_init=prototypes with learner\.ways=5"),
    "Reptile with rates": ({"reptile": True, **LEARNED_HEAD, "rates": "learned"}, "Reptile does without"),
    "Reptile with many losses": ({"reptile": True, **LEARNED_HEAD, "multi_step_loss": True}, "Reptile does without"),
    "learn2learn by step": ({"engine": "learn2learn", "rates": "per_layer_and_step"}, "its MAML has one rate"),
    "no steps": ({"inner_steps": 0}, r"Got learner\.inner_steps=0\. Expected a positive number"),
    "a rate of zero": ({"inner_lr": 0.0}, r"Got learner\.inner_lr=0\.0\. Expected a positive number"),
    "no hidden units": ({"hidden": 0}, r"Got learner\.hidden=0\. Expected a positive number"),
}


@pytest.mark.parametrize(("settings", "message"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        MAML(DIM, **settings)


def test_a_word_of_ones_own_is_refused():
    """Also where nothing checks annotations, as here."""
    settings = MAML(DIM).settings
    object.__setattr__(settings, "adapts", "everything")
    with pytest.raises(ConfigError, match=r"Got learner\.adapts=everything\. Expected one of head, network"):
        settings.__post_init__()


def test_all_contradictions_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        MAML(DIM, adapts="network", ways=5, reptile=True, rates="learned")
    assert len(str(caught.value).splitlines()) == 3
