"""Balanced experts without a loss of their own: a bias beside each expert's score, moved against its load.

    bias_e <- bias_e + rate * sign(1 / n_experts - load_e)        load_e: share of the tokens that chose expert e

The bias decides which experts a token chooses, and not what they weigh.

Source: DeepSeek-AI 2024, "DeepSeek-V3 Technical Report", https://arxiv.org/abs/2412.19437, section 2.1.2; Wang et al.
2024, https://arxiv.org/abs/2408.15664.
"""

from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class ExpertBalance:
    """Counts which experts the tokens of a model choose, and moves the biases.

    Args:
        model: a DeepSeek-V3 model; without experts there is nothing to count.
    """

    def __init__(self, model: nn.Module):
        # A router is known by its bias: transformers' name of the class is no promise.
        self.routers: list[Any] = [module for module in model.modules() if hasattr(module, "e_score_correction_bias")]
        self.counts = [torch.zeros_like(router.e_score_correction_bias) for router in self.routers]
        self._mask: Tensor | None = None
        for place, router in enumerate(self.routers):
            router.register_forward_hook(partial(self._count, place))

    def expect(self, mask: Bool[Tensor, "batch tokens"]) -> None:
        """Say which tokens of the next batch are text: padding is not counted."""
        self._mask = mask

    def loads(self) -> list[Float[Tensor, " n_experts"]]:
        """Share of the tokens that went to each expert, a row per layer with experts, since the last `reset`."""
        return [counts / counts.sum() for counts in self.counts]

    def move(self, rate: float) -> None:
        """Move the biases by what was counted, and start counting anew."""
        for router, load in zip(self.routers, self.loads(), strict=True):
            router.e_score_correction_bias += rate * (1 / len(load) - load).sign()
        self.reset()

    def reset(self) -> None:
        """Forget what was counted."""
        for counts in self.counts:
            counts.zero_()

    def _count(self, place: int, router: nn.Module, inputs: Any, output: Any) -> None:
        assert self._mask is not None
        chosen = output[-1]  # [tokens, experts per token]
        counted = self._mask.flatten()[:, None].expand_as(chosen)
        self.counts[place].scatter_add_(0, chosen.flatten(), counted.flatten().to(self.counts[place].dtype))
