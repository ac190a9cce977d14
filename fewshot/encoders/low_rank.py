"""Low-rank updates beside linear maps: several on one module, and each text of a batch with its own, or none.

    y_i = W x_i + sum_k f_ik B_k (A_k x_i)        f_ik: the scale of update k where text i has it, else 0

The A of all updates in a batch stand one below the other, and so do the B, so that a map takes two products more,
however many there are. W is not touched, and a switch changes f alone.

Source: Hu et al. 2021, "LoRA", https://arxiv.org/abs/2106.09685, section 4.1, on what is lost when W + s B A is merged.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fewshot.encoders.lora import PlacedLoRA
from fewshot.encoders.trained import TrainedWeights
from fewshot.errors import ConfigError, EncoderError


@dataclass(frozen=True, eq=False)
class Update:
    """The low-rank updates of one training, not scaled.

    Args:
        matrices: linear map → A `[rank, in]` and B transposed `[rank, out]`.
        rank: of all of them.
    """

    matrices: Mapping[nn.Module, tuple[Tensor, Tensor]]
    rank: int

    @classmethod
    def of(cls, weights: TrainedWeights, backbone: nn.Module, dtype: torch.dtype) -> "Update":
        """From trained weights, in a precision, on the device of the maps; tensors that fit already are not copied.

        Raises:
            ConfigError: the weights are no updates that can stand beside others, see `check_unmerged`.
            EncoderError: they do not fit the backbone.
        """
        placed = check_unmerged(weights)
        matrices: dict[nn.Module, tuple[Tensor, Tensor]] = {
            linear: (down.to(dtype), up.to(dtype).T) for linear, down, up in weights.low_rank(placed, backbone)
        }
        return cls(matrices, placed.rank)

    def at(self, linear: nn.Module) -> tuple[Float[Tensor, "rank n_in"], Float[Tensor, "rank n_out"]]:
        """The two matrices of a map, zeros where there is no update of it."""
        if linear in self.matrices:
            return self.matrices[linear]
        example = next(iter(self.matrices.values()))[0]
        sizes = (int(linear.in_features), int(linear.out_features))  # type: ignore[arg-type]
        down, up = (example.new_zeros(self.rank, size) for size in sizes)
        return down, up


def check_unmerged(weights: TrainedWeights) -> PlacedLoRA:
    """The places of updates that can stay beside the weights; ConfigError for what has to be merged."""
    placed = weights.placed
    if isinstance(placed, PlacedLoRA) and placed.is_plain and weights.below is None:
        return placed
    raise ConfigError(
        f"Got weights of {weights.model!r} that cannot stay beside those of other trainings. Expected LoRA of linear "
        f"maps, without DoRA, without experts, trained from the published weights. Use AdapterSwitch for others."
    )


ScaledUpdate = tuple[Update, float]  # with the factor s


@dataclass(frozen=True, eq=False)
class _Beside:
    """What maps add in a forward pass: matrices as in `Update`, and f of the equation, a row for each text or one."""

    matrices: Mapping[nn.Module, tuple[Tensor, Tensor]]
    factors: float | Float[Tensor, "batch ranks"]


_now: ContextVar[_Beside | None] = ContextVar("updates in this thread's forward pass", default=None)


@contextmanager
def beside(rows: Sequence[ScaledUpdate | None]) -> Iterator[None]:
    """Add updates to what the maps of a module give, in the forward pass within the block.

    Args:
        rows: the update of each text of the batch and its scale, None for the weights alone; or one for all texts.
    """
    updates = list(dict.fromkeys(row[0] for row in rows if row is not None))
    if not updates:
        yield
        return
    added = _joined(updates, rows)
    handles = [linear.register_forward_hook(partial(_add, added)) for linear in added.matrices]
    token = _now.set(added)
    try:
        yield
    finally:
        _now.reset(token)
        for handle in handles:
            handle.remove()


def _joined(updates: Sequence[Update], rows: Sequence[ScaledUpdate | None]) -> _Beside:
    if len(updates) == 1 and len({None if row is None else row[1] for row in rows}) == 1:
        return _Beside(updates[0].matrices, next(row[1] for row in rows if row is not None))
    example = next(iter(updates[0].matrices.values()))[0]
    scales = example.new_zeros(len(rows), len(updates))
    for place, row in enumerate(rows):
        if row is not None:
            scales[place, updates.index(row[0])] = row[1]
    ranks = torch.tensor([update.rank for update in updates], device=example.device)
    joined = {}
    for linear in dict.fromkeys(linear for update in updates for linear in update.matrices):
        parts = [update.at(linear) for update in updates]
        joined[linear] = (torch.cat([down for down, _ in parts]), torch.cat([up for _, up in parts]))
    return _Beside(joined, scales.repeat_interleave(ranks, dim=1))


def _add(added: _Beside, linear: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
    """Hook of a linear map."""
    if _now.get() is not added:  # a pass of another thread
        return None
    down, up = added.matrices[linear]
    small = nn.functional.linear(inputs[0].to(down.dtype), down)
    scale = added.factors
    if isinstance(scale, Tensor):
        if len(small) != len(scale):
            raise EncoderError(
                f"A linear map got {len(small)} rows for {len(scale)} texts, so that their adapters cannot be told "
                f"apart in one batch. Encode the texts of each adapter by themselves."
            )
        small, scale = small * scale.view(len(scale), *[1] * (small.ndim - 2), -1), 1.0
    total = torch.addmm(output.flatten(0, -2), small.flatten(0, -2).to(output.dtype), up.to(output.dtype), alpha=scale)
    return total.view_as(output)
