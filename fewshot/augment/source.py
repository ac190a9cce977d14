"""The interface of every source of new texts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from fewshot.randomness import child_seed
from fewshot.tasks.task import normalise

Embed = Callable[[Sequence[str]], Float[Tensor, "n dim"]]


@dataclass(frozen=True)
class AugmentRequest:
    """A request for new texts.

    Args:
        texts: distinct texts.
        max_new: maximum of proposals for one text; a source may give fewer.
        seed: root seed.
        synonyms: for each text other names of the same thing, from the task's own file; may be empty.
        classes: for each text an index into `class_names`; empty if labels are unknown.
        class_names: readable names of the classes; empty if they are not used.
        embed: texts → unit vectors, for sources that compare meanings.
    """

    texts: tuple[str, ...]
    max_new: int
    seed: int = 0
    synonyms: tuple[tuple[str, ...], ...] = ()
    classes: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    embed: Embed | None = None

    def text_seed(self, source: str, index: int) -> int:
        """A seed for one source and one text, independent of the other texts."""
        return child_seed(self.seed, f"augment/{source}/{self.texts[index]}")

    def only(self, indices: Sequence[int]) -> "AugmentRequest":
        """The request for some of its texts."""
        synonyms = tuple(self.synonyms[index] for index in indices) if self.synonyms else ()
        classes = tuple(self.classes[index] for index in indices) if self.classes else ()
        return replace(self, texts=tuple(self.texts[index] for index in indices), synonyms=synonyms, classes=classes)


@dataclass(frozen=True)
class Proposal:
    """A new text, and how it was made, for a person to read: "myocardial infarction → heart attack", "inversion"."""

    text: str
    how: str


class Source(ABC):
    """A source of new texts with the same meaning.

    The proposals for a text depend on the text, its synonyms and class, the class names and the seed; not on the other
    texts, nor on global random state, which stays as it was.
    """

    name: ClassVar[str]  # word for settings, tables and `results.json`

    @abstractmethod
    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """New texts for each text of the request, best first, none equal to its text or to another of its list.

        Raises:
            FewshotError: something that the source needs is missing; names what to install or to set.
        """

    def notes(self, request: AugmentRequest) -> list[str]:
        """Notes for a report of results made with this source, such as the origin of its words."""
        return []


def distinct(text: str, proposals: Iterable[Proposal], max_new: int) -> list[Proposal]:
    """The first `max_new` proposals that differ from the text and from each other after `normalise`."""
    chosen: list[Proposal] = []
    keys = {"", normalise(text)}
    for proposal in proposals:
        if len(chosen) == max_new:
            break
        if (key := normalise(proposal.text)) not in keys:
            keys.add(key)
            chosen.append(proposal)
    return chosen
