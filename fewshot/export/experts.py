"""Mixtures of experts in a form that a graph can hold: every expert reads the tokens that are routed to it.

    out_t = sum_k w_tk E_{i_tk}(h_t)        E_e reads the rows {t : i_tk = e for some k}, which may be none

The kernels of PyTorch and transformers sort tokens by expert and have no counterpart in ONNX. Here each expert has
its own linear maps and selects its tokens by index, so that shapes follow the data and each expert reads only its
tokens.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class SeparateExperts(nn.Module):
    """The experts of a layer, one after the other; with the interface of transformers' experts."""

    def __init__(self, experts: Any):
        super().__init__()
        self._original = (experts,)  # in a tuple, so that its weights are not registered; for its gate
        self.up = nn.ModuleList(map(_linear, _matrices(experts, "gate_up_proj" if experts.has_gate else "up_proj")))
        self.down = nn.ModuleList(map(_linear, _matrices(experts, "down_proj")))

    def forward(
        self, hidden: Float[Tensor, "tokens dim"], index: Int[Tensor, "tokens k"], weights: Float[Tensor, "tokens k"]
    ) -> Float[Tensor, "tokens dim"]:
        """The weighted sum of the experts that each token is routed to."""
        (experts,) = self._original
        total = torch.zeros_like(hidden)
        for number, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            tokens, ranks = torch.where(index == number)
            expanded = up(hidden[tokens])
            inner = experts._apply_gate(expanded) if experts.has_gate else experts.act_fn(expanded)
            total = total.index_add(0, tokens, down(inner) * weights[tokens, ranks, None])
        return total


def separate_experts(backbone: nn.Module) -> None:
    """Replace the experts of each layer of a model, if any, in place."""
    for parent in list(backbone.modules()):
        for name, child in list(parent.named_children()):
            if _is_experts(child):
                setattr(parent, name, SeparateExperts(child))


def _is_experts(module: Any) -> bool:
    """True if a module has transformers' interface of experts, without a bias and a norm, which are not supported."""
    down = getattr(module, "down_proj", None)
    return isinstance(down, Tensor) and down.ndim == 3 and not (module.has_bias or module.has_post_expert_norm)


def _matrices(experts: Any, name: str) -> list[Float[Tensor, "n_out n_in"]]:
    weight = getattr(experts, name).detach()
    return list(weight.mT if experts.is_transposed else weight)


def _linear(weight: Float[Tensor, "n_out n_in"]) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    linear.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    return linear
