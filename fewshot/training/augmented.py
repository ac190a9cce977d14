"""Texts of the train classes that have variants, and how a step draws from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from fewshot.errors import ConfigError
from fewshot.tasks import Task


@dataclass(frozen=True)
class AugmentedTexts:
    """Indices of the task's texts that have variants, ascending, and the variants of each."""

    texts: Int[Tensor, " n_texts"]
    variants: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, task: Task, augmented: Mapping[int, Sequence[str]]) -> "AugmentedTexts":
        """From the variants of texts of the train classes, by index; two texts or more must have some."""
        chosen = sorted(index for index, variants in augmented.items() if len(variants))
        train = set(task.parts["train"])
        outside = [index for index in chosen if int(task.labels[index]) not in train]
        if outside:
            label = task.classes[int(task.labels[outside[0]])]
            raise ConfigError(
                f"Got variants of text {outside[0]}, which is of class {label!r}, to train an encoder on. Expected "
                f"texts of the train classes alone. Leave out texts of the classes that are kept for the score."
            )
        if len(chosen) < 2:
            raise ConfigError(
                f"Got variants of {len(chosen)} texts to train an encoder on, expected at least two to tell apart. "
                f"Choose other augment/source, or set augment.use=[support]."
            )
        return cls(torch.tensor(chosen), tuple(tuple(augmented[index]) for index in chosen))

    def draw(self, n_texts: int, n_variants: int, generator: torch.Generator) -> Int[Tensor, "n n_columns"]:
        """Places in `texts` (first column), and numbers of variants of each; some come twice where it has fewer."""
        places = torch.randperm(len(self.texts), generator=generator)[:n_texts]
        return torch.cat([places[:, None], self._numbers(places, n_variants, generator)], dim=1)

    def draw_of(self, texts: Int[Tensor, " n"], generator: torch.Generator) -> Int[Tensor, "n_found 2"]:
        """Of those texts that have variants the place in `texts` of this object, and the number of one variant."""
        places = torch.isin(self.texts, texts).nonzero()[:, 0]
        return torch.cat([places[:, None], self._numbers(places, 1, generator)], dim=1)

    def variants_at(self, drawn: Int[Tensor, "n n_columns"]) -> list[str]:
        """The variants of what was drawn, those of one text together."""
        return [self.variants[place][number] for place, *numbers in drawn.tolist() for number in numbers]

    def _numbers(self, places: Tensor, n_variants: int, generator: torch.Generator) -> Tensor:
        counts = torch.tensor([len(self.variants[place]) for place in places.tolist()], dtype=torch.long)
        return torch.randint(2**31, (len(places), n_variants), generator=generator) % counts[:, None]
