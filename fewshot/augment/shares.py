"""What each text of a class gives: its part, and more where others of its class have less to give."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.bank import Judged
from fewshot.augment.queue import Queue
from fewshot.augment.selection import Selection
from fewshot.augment.source import AugmentRequest

_STRETCH = 3  # how many times its part a text gives at most


@dataclass
class Shares:
    """New texts for classes that are to come to a number of them.

    Args:
        augmentation: its sources and settings.
        selection: judges; no two texts may keep the same new one.
        request: for all texts, with `embed`.
        ids: class of each text.
        parts: for each text how many new ones it gives first.
        wanted: class → how many new texts it has room for.
    """

    augmentation: SemanticAugmentation
    selection: Selection
    request: AugmentRequest
    ids: Sequence[int]
    parts: Sequence[int]
    wanted: Mapping[int, int]
    queues: list[Queue] = field(default_factory=list, init=False)

    def judged(self) -> list[list[Judged]]:
        """For each text what was proposed, and what became of it.

        Raises:
            FewshotError: a source lacks what it needs.
        """
        may_have_more = []
        for start, piece, proposals in self.augmentation.proposed(self.request):
            assert piece.embed is not None
            places = slice(start, start + len(piece.texts))
            queues = self.selection.open(piece.texts, proposals, piece.embed, self.ids[places])
            self.selection.fill(queues, self.parts[places], piece.embed, alike=False)
            self.queues += queues
            may_have_more += [
                any(len(rows[i]) >= piece.most for rows in proposals.values()) for i in range(len(queues))
            ]
        self._level()
        poor = {own for own, _ in self._missing()}
        self._ask_again([place for place, own in enumerate(self.ids) if own in poor and may_have_more[place]])
        for queue in self.queues:
            queue.close()
        return [queue.judged for queue in self.queues]

    def _level(self) -> None:
        """Let the texts of each class that misses some give them: first what looks new, then the rest."""
        self._give(alike=False)
        self._give(alike=True)

    def _give(self, alike: bool) -> None:
        """What classes miss, in equal parts of their texts, as long as these have any; `alike`: see `Queue.draw`."""
        assert self.request.embed is not None
        while True:
            most = {}
            for own, missing in self._missing():
                rich = [place for place in self._of(own) if self._may_give(place, alike)]
                for place in rich:
                    more = len(self.queues[place].kept) + math.ceil(missing / len(rich))
                    most[place] = min(more, _STRETCH * self.parts[place])
            if not most:
                return
            self.selection.fill([self.queues[place] for place in most], list(most.values()), self.request.embed, alike)

    def _ask_again(self, places: Sequence[int]) -> None:
        """More proposals of the same sources for texts that have given all they had."""
        if not places:
            return
        columns: dict[str, Any] = {name: getattr(self.request, name) for name in ("texts", "synonyms", "classes")}
        own: dict[str, Any] = {
            name: tuple(column[place] for place in places) if column else () for name, column in columns.items()
        }
        for start, piece, proposals in self.augmentation.proposed(
            replace(self.request, most=_STRETCH * self.request.most, **own)
        ):
            for index, place in enumerate(places[start : start + len(piece.texts)]):
                self.queues[place].add({name: rows[index] for name, rows in proposals.items()})
        self._level()

    def _missing(self) -> Iterator[tuple[int, int]]:
        """Classes that have not come to their number, and how many they miss."""
        for own, wanted in self.wanted.items():
            missing = wanted - sum(len(self.queues[place].kept) for place in self._of(own))
            if missing > 0:
                yield own, missing

    def _of(self, own: int) -> list[int]:
        return [place for place, other in enumerate(self.ids) if other == own]

    def _may_give(self, place: int, alike: bool) -> bool:
        return self.queues[place].has_more(alike) and len(self.queues[place].kept) < _STRETCH * self.parts[place]
