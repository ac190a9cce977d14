"""Select the proposals to keep: sources take turns, and only as many are embedded as needed.

Proposals that resemble an earlier one are embedded last, since most of them are near-duplicates by the encoder too.
Their distance is that of the sets S(t) of all three letters in a row (Broder 1997, with words,
https://doi.org/10.1109/SEQUEN.1997.666900):

    distance(a, b) = 1 - |S(a) & S(b)| / |S(a) | S(b)|
"""

import math
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import zip_longest
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.augment.semantic_filter import REASONS, SemanticFilter, Verdict, margins
from fewshot.augment.source import Embed, Proposal
from fewshot.features import Variants
from fewshot.tasks.task import normalise

_ALIKE = 0.1  # below this distance two texts are rarely far enough apart for the filter


@dataclass(frozen=True)
class ScoredProposal:
    """A proposal, the name of its source, how it was made, and the verdict of the filter."""

    text: str
    source: str
    how: str
    verdict: Verdict

    @property
    def kept(self) -> bool:
        """True if it passed the filter."""
        return self.verdict.dropped is None


@dataclass(frozen=True)
class Bank:
    """The proposals for some texts, and the features of the kept ones, text by text."""

    texts: tuple[str, ...]
    scored: tuple[tuple[ScoredProposal, ...], ...]
    features: Float[Tensor, "n_kept dim"]

    def kept(self) -> list[list[ScoredProposal]]:
        """The kept proposals of each text, best first."""
        return [[proposal for proposal in proposals if proposal.kept] for proposals in self.scored]

    def counts(self, sources: Collection[str]) -> dict[str, dict[str, int]]:
        """For each source the number of proposals by verdict; `proposed` is their sum."""
        tally = Counter((p.source, str(p.verdict.dropped or "kept")) for row in self.scored for p in row)
        counts = {name: {str(end): tally[name, str(end)] for end in ("kept", *REASONS)} for name in sources}
        return {name: {"proposed": sum(row.values()), **row} for name, row in counts.items()}

    def variants(self, places: Sequence[int], n_texts: int, weight: float, margin: float) -> Variants:
        """The kept proposals as variants in a task of `n_texts` texts; `places` are the bank's texts in it."""
        sizes = torch.tensor([len(row) for row in self.kept()], dtype=torch.long)
        ranks = torch.arange(int(sizes.max()) if len(sizes) else 0)
        starts = sizes.cumsum(0) - sizes
        rows = starts.new_full((n_texts, len(ranks)), -1)
        kept = (starts[:, None] + ranks).masked_fill(ranks >= sizes[:, None], -1)
        rows[torch.tensor(places, dtype=torch.long)] = kept
        return Variants(self.features, rows, weight, margin)

    def sha256(self) -> str:
        """A hash of the texts and of the kept proposals."""
        digest = sha256()
        for text, kept in zip(self.texts, self.kept(), strict=True):
            digest.update(repr((text, [proposal.text for proposal in kept])).encode())
        return digest.hexdigest()


class CachedEmbed:
    """An `embed` that embeds each text once: sources and filter use the same texts."""

    def __init__(self, embed: Embed):
        self.embed, self.rows = embed, dict[str, Tensor]()

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "n dim"]:
        """Features of texts, in their order."""
        missing = [text for text in dict.fromkeys(texts) if text not in self.rows]
        if not texts:
            return self.embed(missing)
        if missing:
            self.rows.update(zip(missing, self.embed(missing), strict=True))
        return torch.stack([self.rows[text] for text in texts])


class Candidate(NamedTuple):
    """A proposal that was not embedded yet; `key` is its text, normalised."""

    source: str
    proposal: Proposal
    key: str


class Candidates:
    """The proposals for one text: the best of each source first, then the second best of each; similar ones last."""

    def __init__(
        self,
        text: str,
        features: Float[Tensor, " dim"],
        proposals: Mapping[str, Sequence[Proposal]],
        excluded: Collection[str] = (),
        own: int | None = None,  # the row of the text's prototype, if there are prototypes
    ):
        self.text, self.features, self.own = text, features, own
        self.scored: list[ScoredProposal] = []  # with a verdict
        self.kept: list[Tensor] = []  # features of those that passed, in their order
        self._waiting: deque[Candidate] = deque()
        self._alike: list[tuple[float, Candidate]] = []
        self._drawn = [_shingles(normalise(text))]
        seen = set()
        turns = (zip(proposals, turn, strict=True) for turn in zip_longest(*proposals.values()))
        for name, proposal in (pair for turn in turns for pair in turn if pair[1] is not None):
            candidate = Candidate(name, proposal, normalise(proposal.text))
            unusable = not candidate.key or candidate.key in excluded
            if unusable or candidate.key in seen:
                self.scored.append(_scored(candidate, Verdict("task_text" if unusable else "repeated", math.nan)))
            else:
                self._waiting.append(candidate)
            seen.add(candidate.key)

    def draw(self, room: int) -> list[Candidate]:
        """The next `room` to embed; those that resemble an earlier one come last."""
        drawn: list[Candidate] = []
        while self._waiting and len(drawn) < room:
            shingles = _shingles(self._waiting[0].key)
            nearest = min(_distance(shingles, other) for other in self._drawn)
            if nearest < _ALIKE:
                self._alike.append((nearest, self._waiting.popleft()))
            else:
                self._drawn.append(shingles)
                drawn.append(self._waiting.popleft())
        if len(drawn) < room:
            self._alike.sort(key=lambda pair: pair[0])  # the sort is stable, and the end is taken first
            while self._alike and len(drawn) < room:
                drawn.append(self._alike.pop()[1])
        return drawn

    def score(self, drawn: Sequence[Candidate], features: Tensor, verdicts: Sequence[Verdict]) -> None:
        """Add the verdicts on the proposals that were drawn, and the features of those that pass."""
        self.scored += [_scored(candidate, verdict) for candidate, verdict in zip(drawn, verdicts, strict=True)]
        self.kept += [row for row, verdict in zip(features, verdicts, strict=True) if verdict.dropped is None]

    def close(self) -> list[ScoredProposal]:
        """All proposals; those that were never drawn are `not_needed`."""
        left = [*self._waiting, *(candidate for _, candidate in reversed(self._alike))]
        return self.scored + [_scored(candidate, Verdict("not_needed", math.nan)) for candidate in left]


@dataclass(eq=False)
class Selection:
    """Let the filter choose among proposals; none equals an `excluded` text, normalised, so that no query gets in."""

    filter: SemanticFilter
    embed: Embed
    excluded: Collection[str]
    prototypes: Float[Tensor, "n_classes dim"] | None = None
    distinct: bool = False  # whether different texts may not keep the same new text either
    kept_keys: set[str] = field(default_factory=set)

    def open(
        self, texts: Sequence[str], proposals: Mapping[str, Sequence[Sequence[Proposal]]], own: Sequence[int] = ()
    ) -> list[Candidates]:
        """The candidates for each text; `proposals` are by source, best first, `own` the rows of the prototypes."""
        own_of: Sequence[int | None] = own or [None] * len(texts)
        return [
            Candidates(text, row, {name: rows[index] for name, rows in proposals.items()}, self.excluded, own_of[index])
            for index, (text, row) in enumerate(zip(texts, self.embed(texts), strict=True))
        ]

    def fill(self, opened: Sequence[Candidates], wanted: Sequence[int]) -> None:
        """Keep the first candidates of each text that pass, up to `wanted` with those that were kept before."""
        while True:
            rooms = [max_new - len(candidates.kept) for candidates, max_new in zip(opened, wanted, strict=True)]
            drawn = [candidates.draw(room) for candidates, room in zip(opened, rooms, strict=True)]
            texts = [candidate.proposal.text for row in drawn for candidate in row]
            if not texts:
                return
            parts = self.embed(texts).split([len(row) for row in drawn])
            for candidates, row, features, room in zip(opened, drawn, parts, rooms, strict=True):
                margin = None
                if self.prototypes is not None and candidates.own is not None:
                    margin = margins(features, self.prototypes, candidates.own)
                kept = torch.stack(candidates.kept) if candidates.kept else candidates.features[None][:0]
                repeated = [self.distinct and candidate.key in self.kept_keys for candidate in row]
                verdicts = self.filter.verdicts(candidates.features, kept, features, room, margin, repeated)
                candidates.score(row, features, verdicts)
                passed = (
                    candidate.key for candidate, verdict in zip(row, verdicts, strict=True) if not verdict.dropped
                )
                self.kept_keys.update(passed)


def bank_of(opened: Sequence[Candidates], dim: int) -> Bank:
    """The bank of all candidates; `dim` is the number of features."""
    kept = [row for candidates in opened for row in candidates.kept]
    scored = tuple(tuple(candidates.close()) for candidates in opened)
    features = torch.stack(kept) if kept else torch.empty(0, dim)
    return Bank(tuple(candidates.text for candidates in opened), scored, features)


def _scored(candidate: Candidate, verdict: Verdict) -> ScoredProposal:
    return ScoredProposal(candidate.proposal.text, candidate.source, candidate.proposal.how, verdict)


def _shingles(text: str) -> frozenset[str]:
    spaced = f" {text} "
    return frozenset(spaced[start : start + 3] for start in range(len(spaced) - 2))


def _distance(one: frozenset[str], other: frozenset[str]) -> float:
    both = len(one & other)
    either = len(one) + len(other) - both  # of sizes: this is asked for every pair
    return 1 - both / either if either else 0.0
