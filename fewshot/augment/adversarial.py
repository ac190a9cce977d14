"""Hard examples: substitutions that move a text towards the nearest wrong class while it keeps its meaning.

    gain(t') = [cos(t', wrong) - cos(t', own)] - [cos(t, wrong) - cos(t, own)]
    t_0 = t,   t_{r+1} = argmax { gain(t') : t' in substitutions(t_r), cos(t', t) >= lowest }   while it grows

`own` and `wrong` are the embedded names of the text's class and of the other class nearest to the text.  Without class
names the text moves away from itself: gain(t') = -cos(t', t).  Every text with a gain is proposed.

After TextFooler (Jin et al. 2020, https://arxiv.org/abs/1907.11932), but words to replace are found by the effect of
replacing them, all texts in one batch, not by leaving words out; and the target is a prototype, not a decision.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from fewshot.augment.source import AugmentRequest, Proposal, Source
from fewshot.augment.synonym import Synonym
from fewshot.errors import ConfigError
from fewshot.ranges import POSITIVE, Range, RangedSettings
from fewshot.tasks.task import normalise


@dataclass(eq=False)
class Adversarial(RangedSettings, Source):
    """Search the substitutions of another source for those that bring a text nearest to a wrong class.

    Args:
        substitutions: proposes small changes; None is `Synonym()`.
        rounds: maximum of substitutions in one text.
        candidates: substitutions that are tried for a text in each round.
        lowest_cosine: to the text itself; no search goes beyond it.
    """

    name: ClassVar[str] = "adversarial"
    GROUP: ClassVar[str] = "augment.sources.adversarial"
    RANGES: ClassVar[dict[str, Range]] = {
        **dict.fromkeys(("rounds", "candidates"), POSITIVE),
        "lowest_cosine": (lambda value: -1 <= value < 1, "a cosine such as 0.3"),
    }

    substitutions: Source | None = None
    rounds: int = 3
    candidates: int = 12
    lowest_cosine: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        self._source = self.substitutions if self.substitutions is not None else Synonym()

    def propose(self, request: AugmentRequest) -> list[list[Proposal]]:
        """See `Source.propose`; the largest gain first. The request has to have `embed`."""
        if request.embed is None:
            raise ConfigError("The adversarial source needs features and got no embed. Give AugmentRequest(embed=...).")
        if not request.texts:
            return []
        starts, directions = _directions(request)
        searches = [_Search(text, {normalise(text)}) for text in request.texts]
        active = list(range(len(searches)))
        for number in range(self.rounds):
            # The synonyms of a text do not hold for the texts that it was changed into.
            part = request.only(active) if number == 0 else replace(request.only(active), synonyms=())
            current = tuple(searches[index].current for index in active)
            proposals = self._source.propose(replace(part, texts=current, max_new=self.candidates)) if active else []
            new = [searches[index].new(row) for index, row in zip(active, proposals, strict=True)]
            texts = [proposal.text for row in new for proposal in row]
            if not texts:
                break
            sizes = [len(row) for row in new]
            owners = torch.tensor(active).repeat_interleave(torch.tensor(sizes))
            features = request.embed(texts)
            gains = ((features - starts[owners]) * directions[owners]).sum(1)
            gains[(features * starts[owners]).sum(1) < self.lowest_cosine] = -torch.inf
            results = zip(active, new, gains.split(sizes), strict=True)
            active = [index for index, row, gain in results if searches[index].step(row, gain.tolist())]
        ranked = [sorted(search.proposals, key=lambda pair: -pair[0]) for search in searches]
        return [[proposal for _, proposal in pairs[: request.max_new]] for pairs in ranked]

    def notes(self, request: AugmentRequest) -> list[str]:
        """The notes of the substitutions."""
        return self._source.notes(request)


@dataclass
class _Search:
    """The search of one text: the current text, the normalised texts that were tried, and all proposals with a gain."""

    current: str
    seen: set[str]
    best: float = 0.0
    how: tuple[str, ...] = ()
    proposals: list[tuple[float, Proposal]] = field(default_factory=list)

    def new(self, row: Sequence[Proposal]) -> list[Proposal]:
        """The proposals that were not tried before."""
        new = [proposal for proposal in row if normalise(proposal.text) not in self.seen]
        self.seen.update(normalise(proposal.text) for proposal in new)
        return new

    def step(self, row: Sequence[Proposal], gains: Sequence[float]) -> bool:
        """Add the proposals with a gain, and move to the best; True if there is one better than before."""
        before, best = self.how, self.best
        for proposal, gain in zip(row, gains, strict=True):
            how = (*before, proposal.how)
            if gain > 0:
                self.proposals.append((gain, Proposal(proposal.text, "; ".join(how))))
            if gain > self.best:
                self.best, self.current, self.how = gain, proposal.text, how
        return self.best > best


def _directions(request: AugmentRequest) -> tuple[Tensor, Tensor]:
    """Features of the texts, and the direction in which each is to move."""
    assert request.embed is not None
    texts = request.embed(request.texts)
    if len(request.class_names) < 2:
        return texts, -texts
    names = request.embed(request.class_names)
    cosines = texts @ names.T
    own = torch.tensor(request.classes) if request.classes else cosines.argmax(1)
    wrong = cosines.scatter(1, own[:, None], -torch.inf).argmax(1)
    return texts, names[wrong] - names[own]
