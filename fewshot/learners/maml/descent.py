"""The inner loop in its plain form, a pure function of a dictionary of parameters, for any differentiable loss.

    theta_{t+1} = theta_t - rate_t * dloss / dtheta_t

Episodes of a batch have parameters of their own along the first dimension, so the gradient of the sum of their losses
is the gradient of each, and no loop over episodes or `vmap` is needed.

Source: Finn et al. 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", equation 1; first order
as in their section 5.2.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fewshot.learners.maml.dual import Rates
from fewshot.learners.maml.network import Parameters

Loss = Callable[[Parameters], Tensor]


def descend(start: Parameters, loss: Loss, rates: Rates, steps: int, first_order: bool) -> list[Parameters]:
    """Take gradient steps that the outer loop can differentiate: the parameters after each; also without gradients.

    Args:
        start: name → first value.
        loss: parameters → a scalar.
        rates: step → name → rate that broadcasts with the parameter.
        steps: how many.
        first_order: take the gradients as constants.
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
