"""The proposals for one text, in the order in which they are looked at."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.augment.bank import Judged
from fewshot.augment.resemblance import Shingles, distance
from fewshot.augment.semantic_filter import Verdict
from fewshot.augment.source import Proposal
from fewshot.tasks.task import normalise

_ALIKE = 0.1  # below this distance two texts are rarely far enough apart for the filter
_NOT_LOOKED_AT = float("nan")


class Waiting(NamedTuple):
    """A proposal that was not looked at yet; `key` is its text, normalised."""

    source: str
    proposal: Proposal
    key: str


class Queue:
    """The best proposal of each source first, then the second best of each; what looks like one before it comes last.

    Looking at a proposal means to embed it, and one that looks like another is mostly found to be a near-duplicate.

    Args:
        text: that the proposals are for.
        features: of it.
        own: the row of its prototype; None where there are no prototypes.
        taken: normalised texts that no proposal may equal.

    Attributes:
        judged: the proposals that are done with, and what became of them.
        kept: features of those that were kept, in their order.
    """

    def __init__(self, text: str, features: Float[Tensor, " dim"], own: int | None, taken: Collection[str]):
        self.text, self.features, self.own = text, features, own
        self.judged: list[Judged] = []
        self.kept: list[Tensor] = []
        self._taken = taken
        self._waiting: deque[Waiting] = deque()
        self._last: list[tuple[float, Waiting]] = []
        self._seen: set[str] = set()
        self._known: set[tuple[str, str]] = set()
        self._shingles = Shingles()
        self._drawn = [self._shingles.of(normalise(text))]

    def add(self, proposals: Mapping[str, Sequence[Proposal]]) -> None:
        """Let more proposals wait; what the same source proposed before is passed over.

        Args:
            proposals: source → proposals, best first.
        """
        known = frozenset(self._known)
        for turn in zip_longest(*proposals.values()):
            for name, proposal in zip(proposals, turn, strict=True):
                if proposal is None:
                    continue
                key = normalise(proposal.text)
                if (name, key) in known:
                    continue
                self._known.add((name, key))
                if key in self._taken or not key:
                    self._note(name, proposal, Verdict("task_text", _NOT_LOOKED_AT))
                elif key in self._seen:
                    self._note(name, proposal, Verdict("repeated", _NOT_LOOKED_AT))
                else:
                    self._waiting.append(Waiting(name, proposal, key))
                self._seen.add(key)

    def has_more(self, alike: bool = True) -> bool:
        """Whether a proposal waits.

        Args:
            alike: whether those count that look like one that was drawn.
        """
        return bool(self._waiting or (alike and self._last))

    def draw(self, most: int, alike: bool = True) -> list[Waiting]:
        """The next ones to look at: as many as there is room for.

        Args:
            most: to be kept, those included that were kept before.
            alike: whether those that look like one that was drawn may come too, if the others are too few.
        """
        room = most - len(self.kept)
        drawn: list[Waiting] = []
        while self._waiting and len(drawn) < room:
            waiting = self._waiting.popleft()
            shingles = self._shingles.of(waiting.key)
            nearest = min(distance(shingles, other) for other in self._drawn)
            if nearest < _ALIKE:
                self._last.append((nearest, waiting))
            else:
                self._drawn.append(shingles)
                drawn.append(waiting)
        if alike and len(drawn) < room:
            self._last.sort(key=lambda pair: pair[0])  # the sort is stable, and the end is taken first
            while self._last and len(drawn) < room:
                drawn.append(self._last.pop()[1])
        return drawn

    def take(self, drawn: Sequence[Waiting], features: Tensor, verdicts: Sequence[Verdict]) -> None:
        """Note what became of the proposals that were drawn.

        Args:
            drawn: the proposals.
            features: of them.
            verdicts: of the filter.
        """
        for waiting, row, verdict in zip(drawn, features, verdicts, strict=True):
            self._note(waiting.source, waiting.proposal, verdict)
            if verdict.dropped is None:
                self.kept.append(row)

    def close(self) -> None:
        """What is left over was not needed."""
        left = [*self._waiting, *(waiting for _, waiting in reversed(self._last))]
        for waiting in left:
            self._note(waiting.source, waiting.proposal, Verdict("not_needed", _NOT_LOOKED_AT))
        self._waiting.clear()
        self._last.clear()

    def kept_matrix(self) -> Float[Tensor, "n_kept dim"]:
        """Features of those that were kept."""
        return torch.stack(self.kept) if self.kept else self.features[None][:0]

    def _note(self, source: str, proposal: Proposal, verdict: Verdict) -> None:
        self.judged.append(Judged(proposal.text, source, proposal.how, verdict))
