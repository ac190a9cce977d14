"""The memory of a classifier: statistics of its texts, to learn on without the texts."""

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
    """The importance of each weight of an encoder for earlier texts: name → float32 tensor of its shape."""

    values: Mapping[str, Tensor] = field(repr=False)

    def __add__(self, other: "Fisher") -> "Fisher":
        return Fisher({name: value + other.values[name] for name, value in self.values.items()})

    def scaled(self, factor: float) -> "Fisher":
        """All values times a factor."""
        return Fisher({name: factor * value for name, value in self.values.items()})


@dataclass(frozen=True)
class Memory:
    """The memory for learning on; it contains no text.

    Args:
        method: method of learning on.
        statistics: of all texts so far, with `prototypes`.
        fisher: importance of each weight of the encoder for all texts so far, with `ewc`.
    """

    method: str
    statistics: ClassStatistics | None = None
    fisher: Fisher | None = None

    def described(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The memory as JSON, and tensors by name."""
        content: dict[str, Any] = {"method": self.method, "labels": None, "width": None}
        tensors: dict[str, Tensor] = {}
        if self.statistics is not None:
            statistics, feature_map = self.statistics, self.statistics.feature_map
            content |= {"labels": list(statistics.labels), "width": feature_map.width}
            rows, columns = torch.triu_indices(*statistics.products.shape)
            parts = {"counts": statistics.counts, "sums": statistics.sums}
            parts["products"] = statistics.products[rows, columns]
            parts |= {"directions": feature_map.directions, "damping": feature_map.damping}
            tensors |= {f"{_STATISTICS}{name}": part.contiguous() for name, part in parts.items()}
        if self.fisher is not None:
            tensors |= {f"{_FISHER}{name}": values for name, values in self.fisher.values.items()}
        return content, tensors

    @classmethod
    def from_described(cls, content: Mapping[str, Any], tensors: dict[str, Tensor]) -> "Memory":
        """The memory of `described`; takes its tensors out of `tensors`. KeyError or ValueError if it is damaged."""
        statistics, fisher = None, None
        if content["labels"] is not None:
            parts = _pop(tensors, _STATISTICS)
            size = parts["sums"].shape[1]
            rows, columns = torch.triu_indices(size, size)
            products = torch.zeros(size, size)
            products[rows, columns] = parts["products"]
            products[columns, rows] = parts["products"]
            feature_map = FeatureMap(int(content["width"]), parts["directions"], parts["damping"])
            statistics = ClassStatistics(
                feature_map, tuple(content["labels"]), parts["counts"], parts["sums"], products
            )
        if values := _pop(tensors, _FISHER):
            fisher = Fisher(values)
        return cls(str(content["method"]), statistics, fisher)


def _pop(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensors.pop(name) for name in list(tensors) if name.startswith(prefix)}
