"""From one vector per token to one vector per text, in at least 32 bits, with padding on either side."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Pooling = Callable[[Tensor, Tensor], Tensor]
Hidden = Float[Tensor, "batch tokens dim"]
Features = Float[Tensor, "batch dim"]
Mask = Int[Tensor, "batch tokens"] | Bool[Tensor, "batch tokens"]


def mean(hidden: Hidden, mask: Mask) -> Features:
    """The mean over a text's tokens: `sum_t m_t h_t / sum_t m_t`.

    Args:
        hidden: last hidden states; those at padding are never read, NaN included.
        mask: non-zero at real tokens; every text has at least one.
    """
    return _weighted(hidden, mask, mask.bool().float())


def weighted_mean(hidden: Hidden, mask: Mask) -> Features:
    """The mean with the position as weight, first token 1: `sum_t t h_t / sum_t t`.

    Under causal attention only late tokens have seen the whole text, so they count for more.

    Source: SGPT (Muennighoff, 2022), https://arxiv.org/abs/2202.08904, section 3.1.
    """
    return _weighted(hidden, mask, mask.bool().cumsum(1).float())


def last_token(hidden: Hidden, mask: Mask) -> Features:
    """The last real token, the only one that has seen the whole text under causal attention."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    return _pick(hidden, (positions * mask.bool()).argmax(1))


def first_token(hidden: Hidden, mask: Mask) -> Features:
    """The first real token: BERT's `[CLS]`."""
    from_the_end = torch.arange(mask.shape[1], 0, -1, device=mask.device)
    return _pick(hidden, (from_the_end * mask.bool()).argmax(1))


POOLINGS: Mapping[str, Pooling] = MappingProxyType(
    {"mean": mean, "weighted_mean": weighted_mean, "last": last_token, "cls": first_token}
)


def widen(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The tensor in 32 bits, or as it is where it has more."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _weighted(hidden: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    # Filled, not multiplied: rows without a key to attend to are NaN in some attention kernels.
    hidden = widen(hidden).masked_fill(~mask.bool().unsqueeze(-1), 0.0)
    weights = (weights * mask.bool()).to(hidden.dtype)
    return torch.einsum("btd,bt->bd", hidden, weights) / weights.sum(1, keepdim=True)


def _pick(hidden: Tensor, positions: Tensor) -> Tensor:
    return widen(hidden[torch.arange(len(hidden), device=hidden.device), positions])
