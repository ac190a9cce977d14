"""Augment labelled texts without a run: a table of new texts with their scores."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.selection import CachedEmbed, Embed, ScoredProposal, Selection
from fewshot.augment.semantic_filter import Reason
from fewshot.augment.source import AugmentRequest
from fewshot.errors import TaskError
from fewshot.tasks.task import normalise


@dataclass(frozen=True)
class AugmentedText:
    """A text that was proposed for another, and the filter's verdict.

    Args:
        label: of both.
        original: the given text.
        text: the new text.
        source: name of its source.
        how: the change that the source made.
        cosine: of both; None if the new text was not embedded.
        margin: cosine to the prototype of its class minus that to the nearest other; None if there is no other.
        dropped: the reason if it is left out; None if it is kept.
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
        """True if it passed the filter."""
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

    No new text equals a given text or another kept one after `normalise`. Kept texts pass the filter of `augmentation`;
    the prototype of a class is the mean of its texts and its name. A text gives as many as in a run, so that its class
    has about `augmentation.per_class` texts, given ones included.

    Args:
        texts: distinct; no queries, for the prototypes are made of them.
        labels: of each text.
        embed: texts → features, of any length.
        augmentation: sources and settings; None is synonyms, syntax and adversarial substitutions with the defaults.
        class_names: readable names of the sorted distinct labels; empty: not used.
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
    _check(texts, labels, class_names, synonyms)
    augmentation = augmentation if augmentation is not None else SemanticAugmentation()
    ids = [classes.index(label) for label in labels]
    sizes = Counter(ids)
    max_new = [augmentation.max_new(sizes[label]) for label in ids]
    unit = CachedEmbed(lambda texts: normalize(embed(texts), dim=-1))
    request = AugmentRequest(
        texts=tuple(texts),
        max_new=max(max_new),
        seed=seed,
        synonyms=tuple(map(tuple, synonyms)),
        classes=tuple(ids) if class_names else (),
        class_names=tuple(class_names),
        embed=unit,
    )
    prototypes = None
    if len(classes) > 1:  # a margin needs another class
        features = unit(texts)
        sums = features.new_zeros(len(classes), features.shape[1]).index_add_(0, torch.tensor(ids), features)
        prototypes = normalize(sums + unit(class_names) if class_names else sums, dim=-1)
    excluded = frozenset(normalise(text) for text in texts)
    selection = Selection(augmentation, unit, excluded, prototypes, distinct=True)
    rows: list[tuple[int, ScoredProposal]] = []
    for start, piece, proposals in augmentation.proposed(request):
        part = slice(start, start + len(piece.texts))
        opened = selection.open(piece.texts, proposals, ids[part])
        selection.fill(opened, max_new[part])
        rows += [(index, scored) for index, candidates in enumerate(opened, start) for scored in candidates.close()]
    return [
        AugmentedText(
            label=classes[ids[index]],
            original=texts[index],
            text=scored.text,
            source=scored.source,
            how=scored.how,
            cosine=None if math.isnan(scored.verdict.cosine) else scored.verdict.cosine,
            margin=scored.verdict.margin,
            dropped=scored.verdict.dropped,
        )
        for index, scored in rows
    ]


def _check(
    texts: Sequence[str], labels: Sequence[str], class_names: Sequence[str], synonyms: Sequence[Sequence[str]]
) -> None:
    if not texts or len(texts) != len(labels):
        raise TaskError(f"Got {len(texts)} texts and {len(labels)} labels, expected one label for each of one or more.")
    twice = [text for text, count in Counter(map(normalise, texts)).items() if count > 1]
    if twice:
        raise TaskError(f"The text {twice[0][:80]!r} stands twice, expected distinct texts. Leave one out.")
    n_names, n_classes = len(class_names), len(set(labels))
    if n_names not in (0, n_classes):
        raise TaskError(f"Got {n_names} class names for {n_classes} labels, expected one for each in sorted order.")
    if len(synonyms) not in (0, len(texts)):
        raise TaskError(f"Got synonyms of {len(synonyms)} texts, expected those of {len(texts)}. Give all, or none.")
