"""A labelled support set in, a table of new texts with their scores out: augmentation without a run."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.bank import ScoredProposal
from fewshot.augment.selection import CachedEmbed, Candidates, Embed, Selection
from fewshot.augment.semantic_filter import Reason
from fewshot.augment.source import AugmentRequest
from fewshot.errors import TaskError
from fewshot.tasks.task import normalise

_STRETCH = 3  # how many times its part a text gives at most


@dataclass(frozen=True)
class AugmentedText:
    """A text that was proposed for another, and what became of it."""

    label: str  # of both
    original: str  # the text that was given
    text: str  # what was made of it
    source: str  # which source made it
    how: str  # what it did
    cosine: float | None  # of both; None: the new text was not embedded
    margin: float | None  # cosine to the prototype of its class minus that to the nearest other; None: there is none
    dropped: Reason | None  # why it is left out; None: it is kept

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

    No new text equals a text that was given or another that was kept, compared as `normalise` does. Those kept pass the
    filter of `augmentation`; the prototype of a class is the mean of its texts and its name. A class comes to
    `augmentation.per_class` texts at most, those given included; where some of its texts have fewer new ones than their
    part, the others give more, up to three times theirs.

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
    _check(texts, labels, class_names, synonyms, len(classes))
    augmentation = augmentation if augmentation is not None else SemanticAugmentation()
    ids = [classes.index(label) for label in labels]
    sizes = Counter(ids)
    parts = [augmentation.most(sizes[own]) for own in ids]
    room = {own: augmentation.per_class - size for own, size in sizes.items()}
    unit = CachedEmbed(lambda texts: normalize(embed(texts), dim=-1))
    request = AugmentRequest(
        texts=tuple(texts),
        most=max(parts),
        seed=seed,
        synonyms=tuple(tuple(names) for names in synonyms),
        classes=tuple(ids) if class_names else (),
        class_names=tuple(class_names),
        embed=unit,
    )
    prototypes = None
    if len(classes) > 1:  # one class alone has no other to be near to
        features = unit(texts)
        sums = features.new_zeros(len(classes), features.shape[1]).index_add_(0, torch.tensor(ids), features)
        prototypes = normalize(sums + unit(class_names) if class_names else sums, dim=-1)
    excluded = frozenset(normalise(text) for text in texts)
    selection = Selection(augmentation.filter(), unit, excluded, prototypes, distinct=True)
    opened: list[Candidates] = []
    for start, piece, proposals in augmentation.proposed(request):
        places = slice(start, start + len(piece.texts))
        found = selection.open(piece.texts, proposals, ids[places])
        selection.fill(found, parts[places], alike=False)
        opened += found
    for alike in (False, True):
        while _level(selection, opened, ids, parts, room, alike):
            pass
    scored = [candidates.close() for candidates in opened]
    surplus = _surplus(scored, ids, room)
    return [
        AugmentedText(
            label=classes[own],
            original=text,
            text=one.text,
            source=one.source,
            how=one.how,
            cosine=None if math.isnan(one.verdict.cosine) else one.verdict.cosine,
            margin=one.verdict.margin,
            dropped="not_needed" if (place, rank) in surplus else one.verdict.dropped,
        )
        for place, (text, own) in enumerate(zip(texts, ids, strict=True))
        for rank, one in enumerate(scored[place])
    ]


def _level(
    selection: Selection, opened: Sequence[Candidates], ids: Sequence[int], parts: Sequence[int],
    room: dict[int, int], alike: bool,
) -> bool:  # fmt: skip
    """Ask the texts of each class that lacks some for equal parts of them; whether any text could give one."""
    kept = Counter(own for own, candidates in zip(ids, opened, strict=True) for _ in candidates.kept)
    left = [_STRETCH * part - len(candidates.kept) for part, candidates in zip(parts, opened, strict=True)]
    able = [
        place
        for place, own in enumerate(ids)
        if room[own] > kept[own] and left[place] > 0 and opened[place].has_more(alike)
    ]
    sharing = Counter(ids[place] for place in able)
    more = {own: math.ceil((room[own] - kept[own]) / n_texts) for own, n_texts in sharing.items()}
    wanted = [len(opened[place].kept) + min(more[ids[place]], left[place]) for place in able]
    selection.fill([opened[place] for place in able], wanted, alike)
    return bool(able)


def _check(
    texts: Sequence[str], labels: Sequence[str], class_names: Sequence[str], synonyms: Sequence[Sequence[str]],
    n_classes: int,
) -> None:  # fmt: skip
    twice = [text for text, count in Counter(map(normalise, texts)).items() if count > 1]
    if not texts or len(texts) != len(labels):
        raise TaskError(f"Got {len(texts)} texts and {len(labels)} labels, expected one label for each of one or more.")
    if twice:
        raise TaskError(f"The text {twice[0][:80]!r} stands twice, expected distinct texts. Leave one out.")
    if len(class_names) not in (0, n_classes):
        raise TaskError(
            f"Got {len(class_names)} class names for {n_classes} labels, expected one for each in sorted order."
        )
    if len(synonyms) not in (0, len(texts)):
        raise TaskError(f"Got synonyms of {len(synonyms)} texts, expected those of {len(texts)}. Give all, or none.")


def _surplus(
    scored: Sequence[Sequence[ScoredProposal]], ids: Sequence[int], room: dict[int, int]
) -> set[tuple[int, int]]:
    """Places of those kept that are more than their class has room for: the last of each text go first."""
    ranks = [[rank for rank, one in enumerate(row) if one.kept] for row in scored]
    used, surplus = Counter[int](), set()
    for turn in range(max(map(len, ranks))):
        for place, row in enumerate(ranks):
            if turn < len(row):
                used[ids[place]] += 1
                if used[ids[place]] > room[ids[place]]:
                    surplus.add((place, row[turn]))
    return surplus
