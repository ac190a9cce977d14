"""Augmentation as a phase of an experiment: which texts get new ones, from which sources, and what became of them."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.bank import Bank
from fewshot.augment.policy import Decision
from fewshot.augment.source import AugmentRequest
from fewshot.augment.support import SupportAugmentation
from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.frozen import EpisodeRequest, draw
from fewshot.experiment.protocol import Protocol
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner
from fewshot.processes import main_first
from fewshot.tasks.task import Part, Task, normalise

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewTexts:
    """New texts of the texts of one part of the classes.

    Args:
        part: which.
        places: index in the task of each text.
        bank: the new texts.
        notes: what a report of them has to say, such as where words are from.
        uses: for each text in how many supports it stands.
        nearer: for each kept new text in how many of them it is nearest to its own class by the margin.
        supports: number of classes in all episodes together; a class of two episodes counts twice.
    """

    part: Part
    places: tuple[int, ...]
    bank: Bank
    notes: tuple[str, ...] = ()
    uses: tuple[int, ...] = ()
    nearer: tuple[int, ...] = ()
    supports: int = 0

    @property
    def texts_per_class(self) -> float | None:
        """Mean number of texts that stand for a class in an episode, new ones included; None without episodes."""
        return (sum(self.uses) + sum(self.nearer)) / self.supports if self.supports else None

    def by_text(self) -> dict[int, tuple[str, ...]]:
        """Index of a text in the task → its new texts, for those that have any."""
        rows = zip(self.places, self.bank.kept(), strict=True)
        return {place: tuple(one.text for one in kept) for place, kept in rows if kept}

    def counts(self, sources: Iterable[str]) -> dict[str, dict[str, Any]]:
        """For each source how many texts it proposed and what became of them, see `Bank.counts`.

        Where there are episodes, `outside_margin` is the share of uses in supports in which a kept text was left out
        because it was nearer to another class, or not nearer to its own by the margin.
        """
        table: dict[str, dict[str, Any]] = {**self.bank.counts(list(sources))}
        if not self.nearer:
            return table
        possible, used = dict.fromkeys(table, 0), dict.fromkeys(table, 0)
        rows = iter(self.nearer)
        for uses, kept in zip(self.uses, self.bank.kept(), strict=True):
            for one in kept:
                possible[one.source] += uses
                used[one.source] += next(rows)
        for source, row in table.items():
            row["outside_margin"] = 1 - used[source] / possible[source] if possible[source] else None
        return table

    def sentence(self, sources: Iterable[str]) -> str:
        """What stands in the supports, for a person to read."""
        counts = self.bank.counts(list(sources))
        of = ", ".join(f"{name} {row['kept']:,} of {row['proposed']:,}" for name, row in counts.items())
        return (
            f"Support of the test episodes: {self.texts_per_class or 0:.0f} texts a class instead of "
            f"{sum(self.uses) / self.supports:.0f}; kept of what was made: {of}"
        )


@dataclass(frozen=True)
class AugmentationResult:
    """What augmentation came to in an experiment.

    Args:
        asked: the settings as they were asked for.
        support: those by which supports are augmented; None where they are not.
        decision: of the policy, if there is one and there was something to decide on.
        new_texts: part of the classes → its new texts.
    """

    asked: SemanticAugmentation
    support: SemanticAugmentation | None
    decision: Decision | None = None
    new_texts: Mapping[Part, NewTexts] = field(default_factory=dict)

    @property
    def meta_training(self) -> bool:
        """Whether texts of the train classes are augmented."""
        return "meta_training" in self.asked.use

    @property
    def used(self) -> SemanticAugmentation:
        """The settings that were used in the end."""
        return self.support or self.asked

    def with_new_texts(self, new_texts: NewTexts | None) -> "AugmentationResult":
        """The result with the new texts of one more part."""
        if new_texts is None:
            return self
        return replace(self, new_texts={**self.new_texts, new_texts.part: new_texts})


def for_part(augmentation: SemanticAugmentation, task: Task, protocol: Protocol, part: Part) -> SupportAugmentation:
    """The augmentation of supports of one part of the classes, with what the task knows of them.

    Args:
        augmentation: settings.
        task: its label names and synonyms may be used; no new text equals one of its texts.
        protocol: whether label names are used, and which classes are scored.
        part: whose classes.
    """
    classes = range(len(task.classes)) if protocol.classes == "all" else task.parts[part]
    names: dict[str | int, str] = {}
    if protocol.label_names:
        names = {task.classes[label]: task.label_names[label] for label in classes}
    return SupportAugmentation(
        augmentation=augmentation,
        seed=protocol.seed,
        label_names=names,
        synonyms=dict(zip(task.texts, task.synonyms, strict=True)) if task.synonyms else {},
        excluded=frozenset(normalise(text) for text in task.texts),
        use_labels=not (part == "test" and protocol.support_noise),
    )


def train_texts(augmentation: SemanticAugmentation, task: Task, protocol: Protocol, encoder: Encoder) -> NewTexts:
    """New texts of the train classes, filtered by an encoder."""
    pools = task.pools("train").thinned(augmentation.train_texts)
    places = pools.members[pools.members >= 0].sort().values.tolist()
    how = for_part(augmentation, task, protocol, "train")
    return _new_texts(how, task, "train", places, augmentation.train_variants, encoder)


def beside(features: TaskFeatures, new_texts: NewTexts, settings: SemanticAugmentation) -> TaskFeatures:
    """Features with new texts beside them."""
    if not len(new_texts.bank.features):
        log.warning(
            f"No new text of {len(new_texts.places)} {new_texts.part} texts passed the filter; "
            f"augment.lowest_cosine={settings.lowest_cosine} may be too high"
        )
        return features.without_variants()
    n_texts = len(features.texts)
    variants = new_texts.bank.variants(new_texts.places, n_texts, settings.weight, settings.margin, settings.merge)
    return replace(features, variants=variants)


def augmented_support(
    how: SupportAugmentation,
    task: Task,
    part: Part,
    features: TaskFeatures,
    encoder: Encoder,
    episodes: EpisodeBatch,
    shots: int,
) -> tuple[TaskFeatures, NewTexts]:
    """Features with new texts beside all that stand in a support of the episodes; queries have none.

    Args:
        how: sources, settings, and what is known of the classes.
        task: the task.
        part: of the classes that the episodes are of.
        features: of the task.
        encoder: which gave them.
        episodes: whose supports are augmented.
        shots: texts of a class, which bound the new ones.
    """
    settings = how.augmentation
    max_new = settings.most(shots)
    max_new = max_new if part == "test" else min(max_new, settings.valid_variants)
    new_texts = _new_texts(how, task, part, _support_texts(episodes), max_new, encoder)
    augmented = beside(features, new_texts, settings)
    return augmented, _with_uses(new_texts, augmented, episodes)


def few_text_episodes(
    augmentation: SemanticAugmentation, task: Task, like: EpisodeBatch, episodes: int
) -> EpisodeBatch:
    """Valid episodes from so few texts that all of them can be augmented.

    Args:
        augmentation: its `valid_texts` says how few.
        task: the task.
        like: valid episodes of the same shape.
        episodes: how many.
    """
    texts = max(augmentation.valid_texts, like.k_shot + like.n_query)
    request = EpisodeRequest("valid", like.n_way, like.k_shot, like.n_query, episodes)
    return draw(task, request, task.pools("valid").thinned(texts))


def decided(
    augmentation: SemanticAugmentation,
    task: Task,
    protocol: Protocol,
    max_shots: int,
    learner: Learner,
    features: TaskFeatures,
    encoder: Encoder,
    like: EpisodeBatch,
) -> AugmentationResult:
    """Let the policy choose the sources and their weight, or none.

    Args:
        augmentation: with a policy.
        task: its valid classes.
        protocol: of the experiment.
        max_shots: support texts that a class has, at most.
        learner: meta-trained.
        features: of the task.
        encoder: which gave them.
        like: valid episodes whose shape those of the decision have.
    """
    policy = augmentation.policy
    assert policy is not None
    episodes = few_text_episodes(augmentation, task, like, policy.episodes)
    places = _support_texts(episodes)
    choices = policy.choices(list(augmentation.sources or ()))
    how = for_part(augmentation, task, protocol, "valid")
    max_new = min(augmentation.most(max_shots), augmentation.valid_variants)
    request = _request(how, task, places, max_new, encoder)
    with main_first():
        banks = augmentation.make_each(request, choices, how.excluded)
    variants = {
        choices[name]: bank.variants(places, len(task.texts), 1.0, augmentation.margin, augmentation.merge)
        for name, bank in banks.items()
        if len(bank.features)
    }
    if not variants:
        log.warning(
            f"No augmentation of the support: no source made a text that the filter keeps, of {len(places)} texts of "
            f"the valid classes; augment.lowest_cosine={augmentation.lowest_cosine} may be too high"
        )
        return AugmentationResult(augmentation, None)
    decision = policy.decide(learner, features, episodes, variants)
    log.info(decision.sentence())
    chosen = decision.chosen
    if chosen is None:
        return AugmentationResult(augmentation, None, decision)
    sources = {name: source for name, source in (augmentation.sources or {}).items() if name in chosen.sources}
    support = replace(augmentation, sources=sources, weight=chosen.weight, policy=None)
    return AugmentationResult(augmentation, support, decision)


def _new_texts(
    how: SupportAugmentation, task: Task, part: Part, places: Sequence[int], max_new: int, encoder: Encoder
) -> NewTexts:
    request = _request(how, task, places, max_new, encoder)
    with main_first():
        bank = how.augmentation.make(request, how.excluded)
    notes = tuple(note for source in (how.augmentation.sources or {}).values() for note in source.notes(request))
    return NewTexts(part, tuple(places), bank, notes)


def _request(
    how: SupportAugmentation, task: Task, places: Sequence[int], max_new: int, encoder: Encoder
) -> AugmentRequest:
    labels = task.labels[torch.tensor(places, dtype=torch.long)].tolist()
    texts = [task.texts[place] for place in places]
    return how.request(texts, [task.classes[label] for label in labels], how.label_names, max_new, encoder)


def _support_texts(episodes: EpisodeBatch) -> list[int]:
    """Every text that stands in a support."""
    return episodes.support[episodes.support_mask].unique().tolist()


def _with_uses(new_texts: NewTexts, features: TaskFeatures, episodes: EpisodeBatch) -> NewTexts:
    """Count in how many supports each text stands, and in how many each kept new text is nearest to its class."""
    stands = episodes.support[episodes.support_mask]
    uses = torch.bincount(stands, minlength=len(features.texts))[torch.tensor(new_texts.places)]
    nearer = torch.zeros(0, dtype=torch.long)
    if features.variants is not None:
        kept = features.kept_variants(episodes)
        rows = features.variants.of(episodes.support)[kept]
        nearer = torch.bincount(rows, minlength=len(features.variants.features))
    supports = len(episodes) * episodes.n_way
    return replace(new_texts, uses=tuple(uses.tolist()), nearer=tuple(nearer.tolist()), supports=supports)
