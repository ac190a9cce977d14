"""Class-balanced batches, as a pure function of the number of the step."""

import torch
from jaxtyping import Int
from torch import Tensor

from fewshot.processes import process_count, process_index
from fewshot.randomness import child_generator


class BalancedBatches:
    """Rounds in which every class has its turn once, in an order of its own, cut into batches of equal size.

    1. In a round each class that has texts gives `per_class` of them, side by side.
    2. A class goes through all its texts before one comes again, in a new order each time; a small class comes round
       sooner. Classes count alike, whatever their sizes.
    3. A batch depends on the seed and the step alone, so a training that is resumed draws the same.

    The stream is `batches`.
    """

    def __init__(self, classes: Int[Tensor, " n_texts"], size: int, per_class: int, seed: int):
        self.size, self.per_class, self.seed = size, per_class, seed
        self.members = [(classes == number).nonzero().flatten() for number in classes.unique().tolist()]

    def __call__(self, step: int) -> Int[Tensor, " size"]:
        """The texts of a step, 1 for the first."""
        start, stop = (step - 1) * self.size, step * self.size
        length = len(self.members) * self.per_class
        rounds = torch.cat([self._round(number) for number in range(start // length, (stop - 1) // length + 1)])
        return rounds[start % length :][: self.size]

    def _round(self, number: int) -> Int[Tensor, " round"]:
        order = torch.randperm(len(self.members), generator=self._stream(f"round {number}"))
        turns = range(number * self.per_class, (number + 1) * self.per_class)
        return torch.stack([self._text(place, turn) for place in order.tolist() for turn in turns])

    def _text(self, place: int, turn: int) -> Int[Tensor, ""]:
        members = self.members[place]
        again, offset = divmod(turn, len(members))
        return members[torch.randperm(len(members), generator=self._stream(f"{place}/{again}"))[offset]]

    def _stream(self, name: str) -> torch.Generator:
        return child_generator(self.seed, f"batches/{name}")


class StepBatches:
    """Another batch for each call in a step, and for each of several processes."""

    def __init__(self, batches: BalancedBatches, accumulate: int):
        self.batches, self.accumulate = batches, accumulate
        self.step, self.calls = 0, 0

    def __call__(self, step: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
        """The texts of the next call in a step; the generator has no part in them."""
        self.calls = self.calls + 1 if step == self.step else 0
        self.step = step
        return self.batches((((step - 1) * self.accumulate + self.calls) * process_count()) + process_index() + 1)
