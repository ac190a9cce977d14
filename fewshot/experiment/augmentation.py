"""Augmentation as a phase of an experiment: new texts for the train classes, and for the supports of episodes."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from fewshot.augment.augmenter import SemanticAugmentation, SupportAugmentation
from fewshot.augment.policy import Decision
from fewshot.augment.selection import Bank
from fewshot.augment.source import AugmentRequest
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
    """New texts for texts of one part of the classes.

    Args:
        part: of the classes.
        places: index in the task of each text.
        bank: the new texts.
        notes: of the sources, for a report, such as the origin of their words.
        uses: number of supports that have each text.
        nearer: for each kept new text, in how many of them it is nearest to its own class by the margin.
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

    def counts(self, sources: Iterable[str]) -> dict[str, dict[str, Any]]:
        """For each source the number of proposals by verdict, see `Bank.counts`.

        With episodes, `outside_margin` is the share of uses in supports in which a kept text was left out because it
        was nearer to another class, or not nearer to its own by the margin.
        """
        table: dict[str, dict[str, Any]] = {**self.bank.counts(list(sources))}
        if not self.nearer:
            return table
        possible, used = dict.fromkeys(table, 0), dict.fromkeys(table, 0)
        rows = iter(self.nearer)
        for uses, kept in zip(self.uses, self.bank.kept(), strict=True):
            for proposal in kept:
                possible[proposal.source] += uses
                used[proposal.source] += next(rows)
        for source, row in table.items():
            row["outside_margin"] = 1 - used[source] / possible[source] if possible[source] else None
        return table

    def sentence(self, sources: Iterable[str]) -> str:
        """Number of texts in the supports, for a person to read."""
        counts = self.bank.counts(list(sources))
        of = ", ".join(f"{name} {row['kept']:,} of {row['proposed']:,}" for name, row in counts.items())
        return (
            f"Support of the test episodes: {self.texts_per_class or 0:.0f} texts a class instead of "
            f"{sum(self.uses) / self.supports:.0f}; kept of what was made: {of}"
        )


@dataclass(frozen=True)
class AugmentationResult:
    """The augmentation of an experiment.

    Args:
        asked: the settings as given.
        support: the settings by which supports are augmented; None if they are not.
        decision: of the policy, if there is one and there was something to decide on.
        new_texts: part of the classes → its new texts.
    """

    asked: SemanticAugmentation
    support: SemanticAugmentation | None
    decision: Decision | None = None
    new_texts: Mapping[Part, NewTexts] = field(default_factory=dict)

    @property
    def meta_training(self) -> bool:
        """True if texts of the train classes are augmented."""
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
    """The augmentation of supports of one part of the classes, with their names and synonyms in the task.

    Label names and synonyms of the task may be used, and no new text equals one of its texts.
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


@dataclass(frozen=True)
class AugmentationPhase:
    """Makes new texts for texts of a task, filtered by an encoder.

    Args:
        task: the task.
        protocol: of the experiment.
        encoder: gives the features that the filter compares.
        features: those of the task.
        max_shots: support texts that a class has, at most.
    """

    task: Task
    protocol: Protocol
    encoder: Encoder
    features: TaskFeatures
    max_shots: int

    def train_texts(self, augmentation: SemanticAugmentation) -> NewTexts:
        """New texts of the train classes."""
        pools = self.task.pools("train").thinned(augmentation.train_texts)
        places = pools.members[pools.members >= 0].sort().values.tolist()
        how = for_part(augmentation, self.task, self.protocol, "train")
        return self._new_texts(how, "train", places, augmentation.train_variants)

    def beside(self, new_texts: NewTexts, settings: SemanticAugmentation) -> TaskFeatures:
        """The features with new texts beside them."""
        if not len(new_texts.bank.features):
            log.warning(
                f"No new text of {len(new_texts.places)} {new_texts.part} texts passed the filter; "
                f"augment.lowest_cosine={settings.lowest_cosine} may be too high"
            )
            return self.features.without_variants()
        n_texts, bank = len(self.features.texts), new_texts.bank
        variants = bank.variants(new_texts.places, n_texts, settings.weight, settings.margin)
        return replace(self.features, variants=variants)

    def support(self, how: SupportAugmentation, part: Part, episodes: EpisodeBatch) -> tuple[TaskFeatures, NewTexts]:
        """The features with new texts beside those in a support of the episodes; queries have none."""
        max_new = how.augmentation.max_new(self.max_shots)
        max_new = max_new if part == "test" else min(max_new, how.augmentation.valid_variants)
        new_texts = self._new_texts(how, part, _support_texts(episodes), max_new)
        augmented = self.beside(new_texts, how.augmentation)
        return augmented, _with_uses(new_texts, augmented, episodes)

    def valid_episodes(
        self, augmentation: SemanticAugmentation, like: EpisodeBatch, episodes: int, purpose: str = "frozen"
    ) -> EpisodeBatch:
        """Valid episodes of the shape of `like`, from few texts, so that all of them can be augmented."""
        texts = max(augmentation.valid_texts, like.k_shot + like.n_query)
        request = EpisodeRequest("valid", like.n_way, like.k_shot, like.n_query, episodes)
        pools = next(iter(self.task.source_pools("valid").values()))
        return draw(self.task, request, pools.thinned(texts), purpose)

    def decide(self, augmentation: SemanticAugmentation, learner: Learner, like: EpisodeBatch) -> AugmentationResult:
        """Let the policy choose the sources and their weight, or none, on valid episodes of the shape of `like`."""
        policy, task = augmentation.policy, self.task
        assert policy is not None
        episodes = self.valid_episodes(augmentation, like, policy.episodes)
        places = _support_texts(episodes)
        choices = policy.choices(list(augmentation.sources or ()))
        how = for_part(augmentation, task, self.protocol, "valid")
        max_new = min(augmentation.max_new(self.max_shots), augmentation.valid_variants)
        with main_first():
            banks = augmentation.make_each(self._request(how, places, max_new), choices, how.excluded)
        variants = {
            choices[name]: bank.variants(places, len(task.texts), 1.0, augmentation.margin)
            for name, bank in banks.items()
            if len(bank.features)
        }
        if not variants:
            log.warning(
                f"No augmentation of the support: no source made a text that the filter keeps, of {len(places)} texts "
                f"of the valid classes; augment.lowest_cosine={augmentation.lowest_cosine} may be too high"
            )
            return AugmentationResult(augmentation, None)
        decision = policy.decide(learner, self.features, episodes, variants)
        log.info(decision.sentence())
        chosen = decision.chosen
        if chosen is None:
            return AugmentationResult(augmentation, None, decision)
        sources = {name: source for name, source in (augmentation.sources or {}).items() if name in chosen.sources}
        support = replace(augmentation, sources=sources, weight=chosen.weight, policy=None)
        return AugmentationResult(augmentation, support, decision)

    def _new_texts(self, how: SupportAugmentation, part: Part, places: Sequence[int], max_new: int) -> NewTexts:
        request = self._request(how, places, max_new)
        with main_first():
            bank = how.augmentation.make(request, how.excluded)
        notes = tuple(note for source in (how.augmentation.sources or {}).values() for note in source.notes(request))
        return NewTexts(part, tuple(places), bank, notes)

    def _request(self, how: SupportAugmentation, indices: Sequence[int], max_new: int) -> AugmentRequest:
        task = self.task
        labels = [task.classes[int(task.labels[index])] for index in indices]
        texts = [task.texts[index] for index in indices]
        return how.request(texts, labels, how.label_names, max_new, self.encoder)


def _support_texts(episodes: EpisodeBatch) -> list[int]:
    """Index of each text in a support."""
    return episodes.support[episodes.support_mask].unique().tolist()


def _with_uses(new_texts: NewTexts, features: TaskFeatures, episodes: EpisodeBatch) -> NewTexts:
    """Count the supports that have each text, and those in which each kept new text is nearest to its class."""
    texts = episodes.support[episodes.support_mask]
    uses = torch.bincount(texts, minlength=len(features.texts))[torch.tensor(new_texts.places)]
    nearer = torch.zeros(0, dtype=torch.long)
    if features.variants is not None:
        kept = features.kept_variants(episodes)
        rows = features.variants.of(episodes.support)[kept]
        nearer = torch.bincount(rows, minlength=len(features.variants.features))
    supports = len(episodes) * episodes.n_way
    return replace(new_texts, uses=tuple(uses.tolist()), nearer=tuple(nearer.tolist()), supports=supports)
