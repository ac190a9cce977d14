"""What a classifier keeps of the texts that it was fitted to, to learn on without them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fewshot.fitted.statistics import ClassStatistics
from fewshot.learners.discriminant import FeatureMap

_STATISTICS, _FISHER = "memory.statistics.", "memory.fisher."


@dataclass(frozen=True)
class Fisher:
    """How much each weight of an encoder matters for texts that are gone: by its name, float32, of its shape."""

    values: Mapping[str, Tensor] = field(repr=False)

    def __add__(self, other: "Fisher") -> "Fisher":
        return Fisher({name: value + other.values[name] for name, value in self.values.items()})

    def scaled(self, factor: float) -> "Fisher":
        """All values times a factor."""
        return Fisher({name: factor * value for name, value in self.values.items()})


@dataclass(frozen=True)
class Memory:
    """What learning on keeps; no text is in it.

    Args:
        method: by which the classifier has learnt on.
        statistics: of all texts so far, with `prototypes`.
        fisher: how much each weight of the encoder matters for all texts so far, with `ewc`.
    """

    method: str
    statistics: ClassStatistics | None = None
    fisher: Fisher | None = None

    def described(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As JSON can hold it, and tensors by name."""
        content: dict[str, Any] = {"method": self.method, "labels": None, "width": None}
        tensors: dict[str, Tensor] = {}
        if self.statistics is not None:
            own = self.statistics
            content |= {"labels": list(own.labels), "width": own.feature_map.width}
            upper = torch.triu_indices(*own.products.shape)
            parts = {"counts": own.counts, "sums": own.sums, "products": own.products[upper[0], upper[1]]}
            parts |= {"directions": own.feature_map.directions, "damping": own.feature_map.damping}
            tensors |= {f"{_STATISTICS}{name}": part.contiguous() for name, part in parts.items()}
        if self.fisher is not None:
            tensors |= {f"{_FISHER}{name}": values for name, values in self.fisher.values.items()}
        return content, tensors

    @classmethod
    def from_described(cls, content: Mapping[str, Any], tensors: dict[str, Tensor]) -> "Memory":
        """From what `described` gave, its tensors taken out; KeyError or ValueError where it is something else."""
        statistics, fisher = None, None
        if content["labels"] is not None:
            own = _taken(tensors, _STATISTICS)
            size = own["sums"].shape[1]
            rows, columns = torch.triu_indices(size, size)
            products = torch.zeros(size, size)
            products[rows, columns] = own["products"]
            products[columns, rows] = own["products"]
            mapped = FeatureMap(int(content["width"]), own["directions"], own["damping"])
            statistics = ClassStatistics(mapped, tuple(content["labels"]), own["counts"], own["sums"], products)
        if values := _taken(tensors, _FISHER):
            fisher = Fisher(values)
        return cls(str(content["method"]), statistics, fisher)


def _taken(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensors.pop(name) for name in list(tensors) if name.startswith(prefix)}
