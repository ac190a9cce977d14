"""From proposals to a bank: sources take turns, the filter judges, and nothing is embedded that is not needed."""

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.augment.bank import Bank
from fewshot.augment.queue import Queue, Waiting
from fewshot.augment.semantic_filter import Prototypes, SemanticFilter, Verdict
from fewshot.augment.source import Proposal

Embed = Callable[[Sequence[str]], Float[Tensor, "n dim"]]


class Remembered:
    """An `embed` that is asked for each text once: sources and filter look at the same texts.

    Args:
        embed: texts → features.
    """

    def __init__(self, embed: Embed):
        self.embed = embed
        self.rows: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "n dim"]:
        """Features of texts, in their order."""
        missing = [text for text in dict.fromkeys(texts) if text not in self.rows]
        if missing or not texts:
            features = self.embed(missing)
            self.rows.update(zip(missing, features, strict=True))
        return torch.stack([self.rows[text] for text in texts]) if texts else features


class Selection:
    """Judges proposals; sources take turns, and nothing is embedded that is not needed.

    Args:
        chosen: the filter.
        taken: normalised texts that no proposal may equal: those of the task, so that no query slips in.
        prototypes: of all classes, where they are known.
        distinct: whether different texts may not keep the same variant either.
    """

    def __init__(
        self,
        chosen: SemanticFilter,
        taken: Collection[str],
        prototypes: Prototypes | None = None,
        distinct: bool = False,
    ):
        self.filter, self.taken, self.prototypes = chosen, taken, prototypes
        self.claimed: set[str] | None = set() if distinct else None

    def open(
        self,
        texts: Sequence[str],
        proposals: Mapping[str, Sequence[Sequence[Proposal]]],
        embed: Embed,
        own: Sequence[int] = (),
    ) -> list[Queue]:
        """A queue for each text, of which nothing was looked at yet.

        Args:
            texts: the texts.
            proposals: source → proposals for each text, best first.
            embed: texts → unit vectors.
            own: for each text the row of its prototype, where there are prototypes.
        """
        features = embed(texts)
        queues = [
            Queue(text, features[place], own[place] if own else None, self.taken) for place, text in enumerate(texts)
        ]
        for place, queue in enumerate(queues):
            queue.add({name: rows[place] for name, rows in proposals.items()})
        return queues

    def fill(self, queues: Sequence[Queue], most: Sequence[int], embed: Embed, alike: bool = True) -> None:
        """Keep the first proposals of each text that pass.

        Args:
            queues: of the texts.
            most: for each how many are to be kept, those that were kept before included.
            embed: texts → unit vectors.
            alike: see `Queue.draw`.
        """
        while True:
            drawn = [queue.draw(wanted, alike) for queue, wanted in zip(queues, most, strict=True)]
            proposed = [waiting.proposal.text for row in drawn for waiting in row]
            if not proposed:
                return
            parts = embed(proposed).split([len(row) for row in drawn])
            for queue, row, part, wanted in zip(queues, drawn, parts, most, strict=True):
                if row:
                    queue.take(row, part, self._verdicts(queue, row, part, wanted))

    def _verdicts(self, queue: Queue, row: Sequence[Waiting], part: Tensor, most: int) -> list[Verdict]:
        margins, margin = None, 0.0
        if self.prototypes is not None and queue.own is not None:
            margins, margin = self.prototypes.margins(part, queue.own), self.prototypes.margin
        room = most - len(queue.kept)
        claimed = [self.claimed is not None and waiting.key in self.claimed for waiting in row]
        verdicts = self.filter.judge(queue.features, queue.kept_matrix(), part, room, margins, margin, claimed)
        if self.claimed is not None:
            pairs = zip(row, verdicts, strict=True)
            self.claimed.update(waiting.key for waiting, verdict in pairs if verdict.dropped is None)
        return verdicts


def bank_of(queues: Sequence[Queue], dim: int) -> Bank:
    """What was kept of some texts, and what became of the rest, which is not looked at any more.

    Args:
        queues: of the texts.
        dim: number of features.
    """
    for queue in queues:
        queue.close()
    kept = [row for queue in queues for row in queue.kept]
    matrix = torch.stack(kept) if kept else torch.empty(0, dim)
    return Bank(tuple(queue.text for queue in queues), tuple(tuple(queue.judged) for queue in queues), matrix)
