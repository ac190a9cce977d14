"""The inner loop, plain for any differentiable loss and dual for networks, for a batch of episodes at once.

The plain form is a pure function of a dictionary of parameters:

    theta_{t+1} = theta_t - rate_t * dloss / dtheta_t

Episodes have parameters of their own along the first dimension, so the gradient of the sum of their losses is the
gradient of each, and no loop over episodes or `vmap` is needed.

The dual form is exact for a linear or two-layer network. The first layer reads rows X that do not change, so gradient
descent changes its weights within their span:

    W_t = W_0 - C_t^T X        X W_t^T = X W_0^T - G C_t        G = X X^T
    C_{t+1} = C_t + rate * D_t        D_t = dloss / d(X W_t^T)

An episode costs n_support, not dim, unknowns, and nothing of the size of W is made for each episode.  Unrolled under
autograd its derivative is that of the plain form: second order is exact.  A hidden layer makes the rows of the head
change from step to step; the head is small, and stays in the plain form.

Source: Finn et al. 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", equation 1; first order
as in their section 5.2.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from fewshot.learners.maml.network import HEAD, HIDDEN, Examples, Layer, Network, Parameters, times

Loss = Callable[[Parameters], Tensor]
Rates = Callable[[int], Mapping[str, Tensor | float]]


def descend(start: Parameters, loss: Loss, rates: Rates, steps: int, first_order: bool) -> list[Parameters]:
    """Take gradient steps that the outer loop can differentiate: the parameters after each; also without gradients.

    `rates` gives for each step and name a rate that broadcasts with it; first order takes the gradients as constants.
    """
    second_order = torch.is_grad_enabled() and not first_order
    parameters, path = dict(start), list[Parameters]()
    for step in range(steps):
        gradients, rate = _gradients(parameters, loss, second_order), rates(step)
        # What the loss does not use, such as BERT's pooler under mean pooling, stays.
        parameters |= {name: parameters[name] - rate[name] * gradient for name, gradient in gradients.items()}
        path.append(dict(parameters))
    return path


def _gradients(parameters: Parameters, loss: Loss, second_order: bool) -> dict[str, Tensor]:
    """The gradient of each parameter that the loss depends on."""
    with torch.enable_grad():
        # Tensors of their own: a head that starts at prototypes has the body in its history, and the gradient is a
        # partial one.  First order is cut off, so that nothing of this step is kept.
        points = {
            name: value.view_as(value) if second_order and value.requires_grad else value.detach().requires_grad_()
            for name, value in parameters.items()
        }
        gradients = torch.autograd.grad(
            loss(points), list(points.values()), create_graph=second_order, allow_unused=True
        )
    return {name: gradient for name, gradient in zip(points, gradients, strict=True) if gradient is not None}


def adapt_head(start: Network, examples: Examples, rates: Rates, steps: int, first_order: bool) -> list[Network]:
    """Gradient descent on the head alone: the network after each step; a hidden layer stays as it is.

    `rates` gives for each step and name a rate of one element; first order takes the gradients as constants.
    """
    rows = start.embed(examples.features)
    if first_order:
        rows = rows.detach()
    head, networks = start.head, []
    scale = start.scale.detach() if first_order else start.scale
    each = [rates(step) for step in range(steps)]
    # At the rate of the weights, the bias is one more weight: that of a feature which is always 1.
    alike = all(rate[HEAD[0]] is rate[HEAD[1]] for rate in each)
    # Classes before examples: the softmax then runs along rows of examples, which are longer.
    targets = examples.targets.mT.contiguous()
    with _tracked(not first_order):
        first = scale * (times(rows, head.weight) + head.bias[..., None, :]).mT
        kernel = scale * (rows @ rows.mT + alike)
        weights = scale * examples.weights.mT
    coefficients = torch.zeros_like(targets)
    bias_change = coefficients.new_zeros(targets.shape[:2])
    for rate in each:
        with _tracked(not first_order):
            logits = torch.baddbmm(first, coefficients, kernel, alpha=-1)
            residuals = weights * (
                (logits if alike else logits - (scale * bias_change)[..., None]).softmax(1) - targets
            )
        coefficients = coefficients + rate[HEAD[0]] * residuals
        bias_change = coefficients.sum(-1) if alike else bias_change + rate[HEAD[1]] * residuals.sum(-1)
        networks.append(replace(start, head=Layer(head.weight, head.bias - bias_change, rows, coefficients.mT)))
    return networks


def adapt_network(start: Network, examples: Examples, rates: Rates, steps: int, first_order: bool) -> list[Network]:
    """Gradient descent on both layers; see `adapt_head`."""
    assert start.hidden is not None
    rows = examples.features.detach() if first_order else examples.features
    hidden, networks = start.hidden, []
    with _tracked(not first_order):
        gram = rows @ rows.mT
        first = times(rows, hidden.weight)
    coefficients = first.new_zeros(first.shape)
    hidden_bias = hidden.bias.expand(len(rows), -1)
    weight, bias = (
        part.expand(len(rows), *part.shape[-n:]) for part, n in ((start.head.weight, 2), (start.head.bias, 1))
    )
    for step in range(steps):
        with _tracked(not first_order):
            before = torch.baddbmm(first + hidden_bias[:, None], gram, coefficients, alpha=-1)
            inner = before.relu()
            residuals = examples.residuals(start.scale, inner @ weight.mT + bias[:, None])
            backward = (residuals @ weight) * (before > 0)
            by_weight, by_bias, by_hidden_bias = residuals.mT @ inner, residuals.sum(1), backward.sum(1)
        rate = rates(step)
        coefficients = coefficients + rate[HIDDEN[0]] * backward
        hidden_bias = hidden_bias - rate[HIDDEN[1]] * by_hidden_bias
        weight, bias = weight - rate[HEAD[0]] * by_weight, bias - rate[HEAD[1]] * by_bias
        networks.append(
            Network(Layer(weight, bias), Layer(hidden.weight, hidden_bias, rows, coefficients), start.scale)
        )
    return networks


def _tracked(second_order: bool) -> torch.set_grad_enabled:
    return torch.set_grad_enabled(second_order and torch.is_grad_enabled())
