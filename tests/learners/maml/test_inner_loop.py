"""The inner loop against a quadratic worked by hand, finite differences, and the dual form against the plain one."""

import pytest
import torch

from fewshot.learners.maml.inner_loop import adapt_head, adapt_network, descend
from fewshot.learners.maml.network import HEAD, HIDDEN, Examples, Layer, Network
from tests.synthetic import seeded

RATE, STEPS = 0.3, 4


def rates(step):
    return dict.fromkeys([*HEAD, *HIDDEN, "x"], RATE)


def by_layer_and_step(step):
    return {HEAD[0]: 0.3 + 0.1 * step, HEAD[1]: 0.2, HIDDEN[0]: 0.5 - 0.1 * step, HIDDEN[1]: 0.05}


@pytest.mark.parametrize(("first_order", "factor"), [(False, 0.4**STEPS), (True, 1.0)])
def test_a_quadratic_by_hand(first_order, factor):
    """loss = (x - 1)^2 has x_t - 1 = (1 - 2 rate)^t (x_0 - 1), whose derivative by x_0 is 0.4^t; first order says 1."""
    x = torch.tensor(3.0, dtype=torch.double, requires_grad=True)
    path = descend({"x": x}, lambda p: (p["x"] - 1).square(), rates, STEPS, first_order)
    assert [float(step["x"].detach()) for step in path] == pytest.approx([1 + 2 * 0.4**t for t in range(1, STEPS + 1)])
    (gradient,) = torch.autograd.grad(path[-1]["x"], x)
    assert float(gradient) == pytest.approx(factor)


def test_a_parameter_that_the_loss_does_not_use_stays():
    start = {"x": torch.ones(2, requires_grad=True), "unused": torch.ones(2, requires_grad=True)}
    (end,) = descend(start, lambda p: p["x"].sum(), rates, 1, False)
    assert end["x"].tolist() == pytest.approx([0.7, 0.7])
    assert torch.equal(end["unused"], start["unused"])


def test_the_gradient_is_a_partial_one_where_one_parameter_was_made_from_another():
    x = torch.tensor(2.0, requires_grad=True)
    (end,) = descend({"x": x, "y": 3 * x}, lambda p: p["x"] * p["y"], lambda step: {"x": 0.1, "y": 0.1}, 1, False)
    assert float(end["x"].detach()) == pytest.approx(2 - 0.1 * 6)  # and not 2 - 0.1 * 2 * 3 * 2
    assert float(end["y"].detach()) == pytest.approx(6 - 0.1 * 2)


def examples(episodes=3, n_way=3, k_shot=4, dim=7):
    """Examples in double precision, some of them padding; the others have weights of all sizes."""
    features = torch.randn(episodes, n_way * k_shot, dim, generator=seeded(1), dtype=torch.double)
    mask = torch.rand(episodes, n_way * k_shot, generator=seeded(2)) < 0.7
    mask[:, ::k_shot] = True
    targets = torch.eye(n_way, dtype=torch.double).repeat_interleave(k_shot, 0) * mask[..., None]
    amounts = mask * torch.rand(episodes, n_way * k_shot, generator=seeded(6), dtype=torch.double)
    return Examples(features, targets, (amounts / amounts.sum(1, keepdim=True))[..., None])


def weights_of(hidden, dim=7, n_way=3, own=0):
    """Random weights; with `own` episodes, a head for each."""
    width = hidden or dim
    shapes = dict(zip(HEAD, ((*[own] * bool(own), n_way, width), (*[own] * bool(own), n_way)), strict=True))
    if hidden:
        shapes |= dict(zip(HIDDEN, ((hidden, dim), (hidden,)), strict=True))
    generator = seeded(3)
    drawn = {name: torch.randn(shape, generator=generator, dtype=torch.double) for name, shape in shapes.items()}
    return {name: tensor.requires_grad_() for name, tensor in drawn.items()}


def plain(weights, adapted, given, scale, rate, first_order):
    """The weights after each step by `descend`."""

    def loss(parameters):
        return given.losses(Network.of({**weights, **parameters}, scale).logits(given.features)).sum()

    own = {n: weights[n].expand(3, *weights[n].shape[-2 if n.endswith("weight") else -1 :]) for n in adapted}
    path = descend(own, loss, rate, STEPS, first_order)
    return [Network.of({**weights, **step}, scale) for step in path]


@pytest.mark.parametrize("rate", [rates, by_layer_and_step])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("own", [0, 3], ids=["one head", "a head for each episode"])
@pytest.mark.parametrize("adapts", ["head", "head on a hidden layer", "network"])
def test_the_dual_form_is_the_plain_form(adapts, own, first_order, rate):
    weights, given = weights_of(None if adapts == "head" else 5, own=own), examples()
    scale = torch.tensor(1.7, dtype=torch.double, requires_grad=True)
    query = torch.randn(3, 6, 7, generator=seeded(4), dtype=torch.double)
    adapted, adapt = ([*HEAD, *HIDDEN], adapt_network) if adapts == "network" else (HEAD, adapt_head)
    dual = adapt(Network.of(weights, scale), given, rate, STEPS, first_order)
    reference = plain(weights, adapted, given, scale, rate, first_order)
    assert len(dual) == STEPS
    for ours, theirs in zip(dual, reference, strict=True):
        torch.testing.assert_close(ours.logits(query), theirs.logits(query), rtol=1e-10, atol=1e-10)
        for name, value in ours.parameters().items():
            torch.testing.assert_close(
                value.expand_as(theirs.parameters()[name]), theirs.parameters()[name], rtol=1e-10, atol=1e-10
            )
    wanted = [*weights.values(), scale]
    found, expected = (torch.autograd.grad(path[-1].logits(query).square().sum(), wanted) for path in (dual, reference))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)
    assert all(bool(gradient.any()) for gradient in found)


@pytest.mark.parametrize("hidden", [None, 5])
def test_meta_gradients_of_the_dual_form_are_those_of_finite_differences(hidden):
    weights, given = weights_of(hidden), examples()
    scale = torch.tensor(1.7, dtype=torch.double, requires_grad=True)
    rate = torch.tensor(0.3, dtype=torch.double, requires_grad=True)
    query = torch.randn(3, 6, 7, generator=seeded(4), dtype=torch.double)
    adapt, names = (adapt_network if hidden else adapt_head), list(weights)

    def end(scale, rate, features, *values):
        start = Network.of(dict(zip(names, values, strict=True)), scale)
        now = Examples(features, given.targets, given.weights)
        return adapt(start, now, lambda step: dict.fromkeys([*HEAD, *HIDDEN], rate), 3, False)[-1].logits(query)

    features = given.features.clone().requires_grad_()
    assert torch.autograd.gradcheck(end, (scale, rate, features, *weights.values()))


def test_second_order_differs_from_first():
    weights, given = weights_of(None), examples()
    scale = torch.tensor(1.7, dtype=torch.double)
    ends = [adapt_head(Network.of(weights, scale), given, rates, STEPS, order)[-1] for order in (False, True)]
    query = given.features[:, :5]
    torch.testing.assert_close(ends[0].logits(query), ends[1].logits(query))
    second, first = (torch.autograd.grad(end.logits(query).square().sum(), weights[HEAD[0]])[0] for end in ends)
    assert float((second - first).abs().max()) > 0.1 * float(second.abs().max())


def test_no_grad_changes_nothing_but_the_graph():
    weights, given = weights_of(5), examples()
    scale = torch.tensor(1.7, dtype=torch.double)
    start = Network.of(weights, scale)
    tracked = [
        adapt_network(start, given, rates, STEPS, False)[-1],
        plain(weights, weights, given, scale, rates, False)[-1],
    ]
    with torch.no_grad():
        free = [
            adapt_network(start, given, rates, STEPS, False)[-1],
            plain(weights, weights, given, scale, rates, False)[-1],
        ]
        for ours, theirs in zip(free, tracked, strict=True):
            logits = ours.logits(given.features)
            assert not logits.requires_grad
            torch.testing.assert_close(logits, theirs.logits(given.features))


def test_a_layer_with_its_change_merged_is_the_same_map():
    given = examples()
    layer = Layer(
        torch.randn(2, 7, generator=seeded(5), dtype=torch.double),
        torch.randn(2, generator=seeded(6), dtype=torch.double),
        given.features,
        torch.randn(3, 12, 2, generator=seeded(7), dtype=torch.double),
    )
    query = torch.randn(3, 6, 7, generator=seeded(4), dtype=torch.double)
    assert layer.merged().rows is None
    torch.testing.assert_close(layer.merged()(query), layer(query))
