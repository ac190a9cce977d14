"""From proposals to a bank: sources take turns, the filter judges, and nothing is embedded that is not needed."""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import zip_longest

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.augment.bank import Bank, Judged
from fewshot.augment.semantic_filter import Prototypes, SemanticFilter, Verdict
from fewshot.augment.source import Proposal
from fewshot.tasks.task import normalise

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


_SPARE, _FEWEST = 1.3, 4  # proposals that are embedded for each place that is left, for some will be dropped


class Selection:
    """Judges the proposals of a request; sources take turns, and nothing is embedded that is not needed.

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

    def bank(
        self,
        texts: Sequence[str],
        proposals: Mapping[str, Sequence[Sequence[Proposal]]],
        embed: Embed,
        most: int,
        own: Sequence[int] = (),
    ) -> Bank:
        """Keep the first proposals of each text that pass.

        Args:
            texts: the texts.
            proposals: source → proposals for each text, best first.
            embed: texts → unit vectors.
            most: to keep of each text.
            own: for each text the row of its prototype, where there are prototypes.
        """
        features = embed(texts)
        queues = [
            _Queue(features[index], {name: lists[index] for name, lists in proposals.items()}, self.taken)
            for index in range(len(texts))
        ]
        while drawn := [queue.draw(most) for queue in queues]:
            proposed = [proposal.text for row in drawn for _, proposal in row]
            if not proposed:
                break
            parts = embed(proposed).split([len(row) for row in drawn])
            for index, (queue, row, part) in enumerate(zip(queues, drawn, parts, strict=True)):
                if row:
                    class_ = own[index] if own else None
                    queue.take(row, part, self._verdicts(queue, row, part, most, class_))
        for queue in queues:
            queue.close()
        kept = [row for queue in queues for row in queue.kept]
        matrix = torch.stack(kept) if kept else features[:0]
        return Bank(tuple(texts), tuple(tuple(queue.judged) for queue in queues), matrix)

    def _verdicts(
        self, queue: "_Queue", row: Sequence[tuple[str, Proposal]], part: Tensor, most: int, own: int | None
    ) -> list[Verdict]:
        margins, margin = None, 0.0
        if self.prototypes is not None and own is not None:
            margins, margin = self.prototypes.margins(part, own), self.prototypes.margin
        room = most - len(queue.kept)
        claimed = [self.claimed is not None and normalise(proposal.text) in self.claimed for _, proposal in row]
        verdicts = self.filter.judge(queue.source, queue.kept_matrix(), part, room, margins, margin, claimed)
        if self.claimed is not None:
            pairs = zip(row, verdicts, strict=True)
            self.claimed.update(normalise(proposal.text) for (_, proposal), verdict in pairs if verdict.dropped is None)
        return verdicts


class _Queue:
    """The proposals for one text, the best of each source first, then the second best of each."""

    def __init__(self, source: Tensor, proposals: Mapping[str, Sequence[Proposal]], taken: Collection[str]):
        self.source = source
        self.judged: list[Judged] = []
        self.kept: list[Tensor] = []
        self.waiting: deque[tuple[str, Proposal]] = deque()
        seen: set[str] = set()
        for turn in zip_longest(*proposals.values()):
            for name, proposal in zip(proposals, turn, strict=True):
                if proposal is None:
                    continue
                key = normalise(proposal.text)
                if key in taken or not key:
                    self._note(name, proposal, Verdict("task_text", float("nan")))
                elif key in seen:
                    self._note(name, proposal, Verdict("repeated", float("nan")))
                else:
                    self.waiting.append((name, proposal))
                seen.add(key)

    def draw(self, most: int) -> list[tuple[str, Proposal]]:
        """The next ones to look at; none once there are enough."""
        room = most - len(self.kept)
        size = min(len(self.waiting), max(_FEWEST, round(_SPARE * room))) if room > 0 else 0
        return [self.waiting.popleft() for _ in range(size)]

    def take(self, row: Sequence[tuple[str, Proposal]], features: Tensor, verdicts: Sequence[Verdict]) -> None:
        for (name, proposal), feature, verdict in zip(row, features, verdicts, strict=True):
            self._note(name, proposal, verdict)
            if verdict.dropped is None:
                self.kept.append(feature)

    def close(self) -> None:
        """What is left over was not needed."""
        while self.waiting:
            self._note(*self.waiting.popleft(), Verdict("not_needed", float("nan")))

    def kept_matrix(self) -> Tensor:
        return torch.stack(self.kept) if self.kept else self.source[None][:0]

    def _note(self, name: str, proposal: Proposal, verdict: Verdict) -> None:
        self.judged.append(Judged(proposal.text, name, proposal.how, verdict))
