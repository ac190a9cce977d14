"""What makes new texts from given ones: the promise of every source."""

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
    """Texts of which more are wanted.

    Args:
        texts: distinct texts.
        max_new: most proposals for one text; a source may give fewer.
        seed: root seed.
        synonyms: for each text other names of the same thing, as the task's own file has them; may be empty.
        classes: for each text an index into `class_names`; empty where labels are not known.
        class_names: readable names of the classes that the texts are of; empty where they are not used.
        embed: texts → unit vectors, for sources that look at meaning.
    """

    texts: tuple[str, ...]
    max_new: int
    seed: int = 0
    synonyms: tuple[tuple[str, ...], ...] = ()
    classes: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    embed: Embed | None = None

    def text_seed(self, source: str, index: int) -> int:
        """A seed for one source and one text, whatever the other texts are."""
        return child_seed(self.seed, f"augment/{source}/{self.texts[index]}")

    def only(self, places: Sequence[int]) -> "AugmentRequest":
        """The request for some of its texts."""
        synonyms = tuple(self.synonyms[place] for place in places) if self.synonyms else ()
        classes = tuple(self.classes[place] for place in places) if self.classes else ()
        return replace(self, texts=tuple(self.texts[place] for place in places), synonyms=synonyms, classes=classes)


@dataclass(frozen=True)
class Proposal:
    """A new text, and what was done, for a person to read: "myocardial infarction → heart attack", "inversion"."""

    text: str
    how: str


class Source(ABC):
    """One way to make new texts that mean the same.

    What a source proposes for a text depends on that text, what the request says of it, the class names and the seed;
    not on the other texts, nor on global random state, which it leaves as it was.
    """

    name: ClassVar[str]  # word for settings, tables and `results.json`

    @abstractmethod
    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """New texts for each text of the request, best first, none equal to its text or to another of its list.

        Raises:
            FewshotError: what the source needs is not there; names what to install or to set.
        """

    def notes(self, request: AugmentRequest) -> list[str]:
        """What a report of results made with this source has to say, such as where its words are from."""
        return []


def distinct(text: str, proposals: Iterable[Proposal], max_new: int) -> list[Proposal]:
    """The first proposals, `max_new` of them, that differ from the text and from each other as `normalise` has them."""
    found: list[Proposal] = []
    keys = {"", normalise(text)}
    for proposal in proposals:
        if len(found) == max_new:
            break
        if (key := normalise(proposal.text)) not in keys:
            keys.add(key)
            found.append(proposal)
    return found
