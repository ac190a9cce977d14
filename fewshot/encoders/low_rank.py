"""Low-rank updates beside linear maps: each text of a batch has its own update, or none, on one module.

    y_i = W x_i + sum_k f_ik B_k (A_k x_i)        f_ik: the scale of update k where text i has it, else 0

The A of all updates in a batch stand one below the other, and so do the B, so that a map takes two products more,
however many there are. W is not touched, and a switch changes f alone.

Source: Hu et al. 2021, "LoRA", https://arxiv.org/abs/2106.09685, section 4.1, on what is lost when W + s B A is merged.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
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
        matrices: linear map → A `[rank, in]` and B transposed `[rank, out]`, in the precision they are held in.
        rank: of all of them.
    """

    matrices: Mapping[nn.Module, tuple[Tensor, Tensor]]
    rank: int

    @classmethod
    def of(cls, weights: TrainedWeights, backbone: nn.Module) -> "Update":
        """From trained weights, on the device of the maps; on the CPU nothing is copied.

        Raises:
            ConfigError: the weights are no updates that can stand beside others, see `check_unmerged`.
            EncoderError: they do not fit the backbone.
        """
        placed = check_unmerged(weights)
        matrices: dict[nn.Module, tuple[Tensor, Tensor]] = {
            linear: (down, up.T) for linear, down, up in weights.low_rank(placed, backbone)
        }
        return cls(matrices, placed.rank)

    def at(self, linear: nn.Module) -> tuple[Float[Tensor, "rank n_in"], Float[Tensor, "rank n_out"]]:
        """The two matrices of a map, zeros if it has no update."""
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
class _Pass:
    """The updates that a forward pass adds, and f of the equation, a row for each text with a column for each rank."""

    updates: tuple[Update, ...]
    factors: float | Float[Tensor, "batch ranks"]

    @classmethod
    def of(cls, rows: Sequence[ScaledUpdate | None]) -> "_Pass":
        updates = tuple(dict.fromkeys(row[0] for row in rows if row is not None))
        scales = torch.zeros(len(rows), len(updates))
        for text, row in enumerate(rows):
            if row is not None:
                scales[text, updates.index(row[0])] = row[1]
        if len(updates) == 1 and (scales == scales[0]).all():
            return cls(updates, float(scales[0]))
        return cls(updates, scales.repeat_interleave(torch.tensor([update.rank for update in updates]), dim=1))

    def add(self, linear: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Hook of a linear map."""
        if _current_pass.get() is not self:  # a pass of another thread
            return None
        parts = [update.at(linear) for update in self.updates]
        downs, ups = (torch.cat(side) if len(side) > 1 else side[0] for side in zip(*parts, strict=True))
        projected = nn.functional.linear(inputs[0].to(output.dtype), downs.to(output.dtype))
        scale = self.factors
        if isinstance(scale, Tensor):
            if len(projected) != len(scale):
                raise EncoderError(
                    f"A linear map got {len(projected)} rows for {len(scale)} texts, so that their adapters cannot be "
                    f"told apart in one batch. Encode the texts of each adapter by themselves."
                )
            factors = scale.view(len(scale), *[1] * (projected.ndim - 2), -1).to(projected)
            projected, scale = projected * factors, 1.0
        flat = torch.addmm(output.flatten(0, -2), projected.flatten(0, -2), ups.to(output.dtype), alpha=scale)
        return flat.view_as(output)


_current_pass: ContextVar[_Pass | None] = ContextVar("updates in this thread's forward pass", default=None)


@contextmanager
def beside(rows: Sequence[ScaledUpdate | None]) -> Iterator[None]:
    """Add updates to what the maps of a module give, in the forward pass within the block.

    Args:
        rows: the update of each text of the batch and its scale, None for the weights alone; or one for all texts.
    """
    if all(row is None for row in rows):
        yield
        return
    added = _Pass.of(rows)
    maps = dict.fromkeys(linear for update in added.updates for linear in update.matrices)
    handles = [linear.register_forward_hook(added.add) for linear in maps]
    token = _current_pass.set(added)
    try:
        yield
    finally:
        _current_pass.reset(token)
        for handle in handles:
            handle.remove()
