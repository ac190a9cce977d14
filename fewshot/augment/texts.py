"""A labelled support set in, a table of new texts with their scores out: augmentation without a run."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.bank import ScoredProposal
from fewshot.augment.selection import CachedEmbed, Candidates, Embed, Selection
from fewshot.augment.semantic_filter import Prototypes, Reason
from fewshot.augment.source import AugmentRequest
from fewshot.errors import TaskError
from fewshot.tasks.task import normalise

_STRETCH = 3  # how many times its part a text gives at most


@dataclass(frozen=True)
class AugmentedText:
    """A text that was proposed for another, and what became of it.

    Args:
        label: of both.
        original: the text that was given.
        text: what was made of it.
        source: which source made it.
        how: what it did.
        cosine: of both; None where the new text was not looked at.
        margin: cosine of the new text to the prototype of its class minus that to the nearest other; None where it
            was not looked at, or there is one class only.
        dropped: why it is left out; None where it is kept.
    """

    label: str
    original: str
    text: str
    source: str
    how: str
    cosine: float | None
    margin: float | None
    dropped: Reason | None

    @property
    def kept(self) -> bool:
        """Whether it stands for its class."""
        return self.dropped is None


def augment_texts(
    texts: Sequence[str],
    labels: Sequence[str],
    embed: Embed,
    augmentation: SemanticAugmentation | None = None,
    class_names: Sequence[str] = (),
    synonyms: Sequence[Sequence[str]] = (),
    seed: int = 0,
) -> list[AugmentedText]:
    """Make more of the texts of a support set.

    1. No new text equals a text that was given or another that was kept, compared as `normalise` does.
    2. Those kept pass the filter of `augmentation`; the prototype of a class is the mean of its texts and its name.
    3. A class comes to `augmentation.per_class` texts at most, those given included; where some of its texts have
       fewer new ones than their part, the others give more, up to three times theirs.
    4. The same arguments give the same table.

    Args:
        texts: distinct; no queries, for the prototypes are made of them.
        labels: of each text.
        embed: texts → features, of any length.
        augmentation: sources and settings; None is synonyms, syntax and adversarial substitutions with the defaults.
        class_names: readable names of the sorted distinct labels; empty where they are not to be used.
        synonyms: for each text other names of the same thing; may be empty.
        seed: root seed.

    Returns:
        Every text that was proposed, in the order of `texts`; those of one text that are kept are best first.

    Raises:
        TaskError: texts, labels, names or synonyms that do not fit each other.
        ConfigError: a class has `per_class` texts already.
        FewshotError: a source lacks what it needs.
    """
    classes = sorted(set(labels))
    _check(texts, labels, class_names, synonyms, classes)
    augmentation = augmentation if augmentation is not None else SemanticAugmentation()
    ids = [classes.index(label) for label in labels]
    unit = CachedEmbed(lambda texts: normalize(embed(texts), dim=-1))
    sizes = Counter(ids)
    request = AugmentRequest(
        texts=tuple(texts),
        most=max(augmentation.most(size) for size in sizes.values()),
        seed=seed,
        synonyms=tuple(tuple(names) for names in synonyms),
        classes=tuple(ids) if class_names else (),
        class_names=tuple(class_names),
        embed=unit,
    )
    prototypes = _prototypes(unit, texts, class_names, torch.tensor(ids), augmentation.margin)
    excluded = frozenset(normalise(text) for text in texts)
    selection = Selection(augmentation.filter(), excluded, prototypes, distinct=True)
    opened = _Filling(augmentation, selection, request, ids).opened()
    scored = [candidates.close() for candidates in opened]
    surplus = _surplus(scored, ids, {own: augmentation.per_class - size for own, size in sizes.items()})
    return [
        _row(one, text, classes[own], (place, rank) in surplus)
        for place, (text, own) in enumerate(zip(texts, ids, strict=True))
        for rank, one in enumerate(scored[place])
    ]


class _Filling:
    """Classes come to `per_class`: each text gives its part, and more where others of its class have less to give."""

    def __init__(
        self, augmentation: SemanticAugmentation, selection: Selection, request: AugmentRequest, ids: Sequence[int]
    ):
        self.augmentation, self.selection, self.request, self.ids = augmentation, selection, request, ids
        self.sizes = Counter(ids)
        self.parts = [augmentation.most(self.sizes[own]) for own in ids]
        self.candidates: list[Candidates] = []

    def opened(self) -> list[Candidates]:
        """The candidates of each text, with those kept that pass and are needed."""
        may_have_more = set()
        for start, piece, proposals in self.augmentation.proposed(self.request):
            assert piece.embed is not None
            places = range(start, start + len(piece.texts))
            found = self.selection.open(piece.texts, proposals, piece.embed, [self.ids[place] for place in places])
            self.selection.fill(found, [self.parts[place] for place in places], piece.embed, alike=False)
            self.candidates += found
            may_have_more |= {
                place for place in places if any(len(rows[place - start]) >= piece.most for rows in proposals.values())
            }
        self._level()
        lacking = self._lacking()
        self._ask_again([place for place in sorted(may_have_more) if lacking[self.ids[place]] > 0])
        return self.candidates

    def _level(self) -> None:
        """Let the texts of each class that lacks some give them: first what looks new, then the rest."""
        assert self.request.embed is not None
        for alike in (False, True):
            while True:
                wanted = {}
                for own, lacking in self._lacking().items():
                    giving = [place for place in self._of(own) if self._may_give(place, alike)] if lacking > 0 else []
                    for place in giving:
                        more = len(self.candidates[place].kept) + math.ceil(lacking / len(giving))
                        wanted[place] = min(more, _STRETCH * self.parts[place])
                if not wanted:
                    break
                chosen = [self.candidates[place] for place in wanted]
                self.selection.fill(chosen, list(wanted.values()), self.request.embed, alike)

    def _ask_again(self, places: Sequence[int]) -> None:
        """More proposals of the same sources for texts that have given all they had."""
        if not places:
            return
        more = replace(self.request.only(places), most=_STRETCH * self.request.most)
        for start, piece, proposals in self.augmentation.proposed(more):
            for index, place in enumerate(places[start : start + len(piece.texts)]):
                self.candidates[place].add({name: rows[index] for name, rows in proposals.items()})
        self._level()

    def _lacking(self) -> dict[int, int]:
        """How many new texts each class lacks."""
        kept = {own: sum(len(self.candidates[place].kept) for place in self._of(own)) for own in self.sizes}
        return {own: self.augmentation.per_class - size - kept[own] for own, size in self.sizes.items()}

    def _of(self, own: int) -> list[int]:
        return [place for place, other in enumerate(self.ids) if other == own]

    def _may_give(self, place: int, alike: bool) -> bool:
        candidates = self.candidates[place]
        return candidates.has_more(alike) and len(candidates.kept) < _STRETCH * self.parts[place]


def _check(
    texts: Sequence[str],
    labels: Sequence[str],
    class_names: Sequence[str],
    synonyms: Sequence[Sequence[str]],
    classes: Sequence[str],
) -> None:
    if not texts or len(texts) != len(labels):
        raise TaskError(f"Got {len(texts)} texts and {len(labels)} labels, expected one label for each of one or more.")
    twice = [text for text, count in Counter(map(normalise, texts)).items() if count > 1]
    if twice:
        raise TaskError(f"The text {twice[0][:80]!r} stands twice, expected distinct texts. Leave one out.")
    if class_names and len(class_names) != len(classes):
        raise TaskError(
            f"Got {len(class_names)} class names for {len(classes)} labels, expected one for each in sorted order. "
            f"Give all, or none."
        )
    if synonyms and len(synonyms) != len(texts):
        raise TaskError(f"Got synonyms of {len(synonyms)} texts, expected those of {len(texts)}. Give all, or none.")


def _prototypes(
    embed: Embed, texts: Sequence[str], class_names: Sequence[str], ids: Tensor, margin: float
) -> Prototypes | None:
    """Unit means of the texts and the name of each class; one class alone has no other to be near to."""
    n_classes = int(ids.max()) + 1
    if n_classes < 2:
        return None
    features = embed(texts)
    sums = features.new_zeros(n_classes, features.shape[1]).index_add_(0, ids, features)
    return Prototypes(normalize(sums + embed(class_names) if class_names else sums, dim=-1), margin)


def _surplus(
    scored: Sequence[Sequence[ScoredProposal]], ids: Sequence[int], room: dict[int, int]
) -> set[tuple[int, int]]:
    """Places of those kept that are more than their class has room for: the last of each text go first."""
    ranks = [[rank for rank, one in enumerate(row) if one.kept] for row in scored]
    surplus = set()
    for turn in range(max(map(len, ranks), default=0)):
        for place, own in enumerate(ids):
            if turn < len(ranks[place]):
                room[own] -= 1
                if room[own] < 0:
                    surplus.add((place, ranks[place][turn]))
    return surplus


def _row(one: ScoredProposal, original: str, label: str, is_surplus: bool) -> AugmentedText:
    verdict = one.verdict
    cosine = None if math.isnan(verdict.cosine) else verdict.cosine
    dropped: Reason | None = "not_needed" if is_surplus else verdict.dropped
    return AugmentedText(label, original, one.text, one.source, one.how, cosine, verdict.margin, dropped)
