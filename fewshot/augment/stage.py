"""Augmentation as a phase of a run: which texts it makes more of, from what, and what became of them."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.augment.bank import Bank
from fewshot.augment.policy import Decision
from fewshot.augment.source import AugmentRequest
from fewshot.encoders import Encoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.frozen import EpisodeRequest, draw
from fewshot.errors import ConfigError
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner
from fewshot.processes import main_first
from fewshot.settings import Settings
from fewshot.tasks.task import Part, Task, normalise

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """What was made of the texts of one part of the classes.

    Args:
        part: which.
        places: index in the task of each text.
        bank: what was made of it.
        uses: for each text in how many supports it stands.
        nearer: for each kept text in how many of them it was nearest to its own class by the margin.
        supports: number of classes in all episodes together; a class of two episodes counts twice.
    """

    part: Part
    places: tuple[int, ...]
    bank: Bank
    uses: tuple[int, ...] = ()
    nearer: tuple[int, ...] = ()
    supports: int = 0

    @property
    def texts_per_class(self) -> float | None:
        """Mean number of texts that stand for a class in an episode, new ones included; None without episodes."""
        return (sum(self.uses) + sum(self.nearer)) / self.supports if self.supports else None

    def counts(self, sources: Iterable[str]) -> dict[str, dict[str, Any]]:
        """For each source how many texts it proposed and what became of them, see `Bank.counts`.

        Where there are episodes, `outside_margin` is the share of uses in supports in which a kept text was left out
        because it was nearer to another class, or not nearer to its own by the margin.
        """
        table: dict[str, dict[str, Any]] = {**self.bank.counts(list(sources))}
        if not self.nearer:
            return table
        possible, taken = dict.fromkeys(table, 0), dict.fromkeys(table, 0)
        rows = iter(self.nearer)
        for uses, kept in zip(self.uses, self.bank.kept(), strict=True):
            for one in kept:
                possible[one.source] += uses
                taken[one.source] += next(rows)
        for source, row in table.items():
            row["outside_margin"] = 1 - taken[source] / possible[source] if possible[source] else None
        return table


@dataclass
class AugmentationStage:
    """The augmentation of one run.

    Args:
        augmentation: its settings; those of a decision once there is one.
        task: its texts; no new text may equal one of them.
        settings: of the run.
        made: what was made so far, by part.
        decision: of the policy, once it has decided.
        nothing_kept: whether there was nothing that it could decide on.

    Raises:
        ConfigError: no room for new texts beside the shots, or too few valid classes to decide on.
    """

    augmentation: SemanticAugmentation
    task: Task
    settings: Settings
    made: dict[Part, Made] = field(default_factory=dict)
    decision: Decision | None = None
    nothing_kept: bool = False

    def __post_init__(self) -> None:
        self.asked = self.augmentation
        self.most = self.augmentation.most(self.settings.shots)
        self.taken = frozenset(normalise(text) for text in self.task.texts)
        self.notes: dict[str, list[str]] = {}  # of each source, on what it made last
        if self.augmentation.policy is not None and len(self.task.parts["valid"]) < 2:
            raise ConfigError(
                f"Got augment.policy, but the task {self.task.name!r} has {len(self.task.parts['valid'])} valid class "
                f"to decide on, expected two or more. Set augment=semantic or none, or move classes in "
                f"class_splits.json."
            )

    def check(self, learner: Learner) -> None:
        """Refuse a learner that can have no new texts in its support.

        Raises:
            ConfigError: it reads tokens.
        """
        if learner.reads == "tokens":
            raise ConfigError(
                f"Got augmentation with a learner that reads tokens ({learner.title}), expected one on features. Set "
                f"augment=none, or learner.adapts=head."
            )

    @property
    def augments_support(self) -> bool:
        """Whether the support of valid and test episodes is augmented; after the decision, if there is a policy."""
        decided_against = self.nothing_kept or (self.decision is not None and self.decision.chosen is None)
        return "support" in self.augmentation.use and not decided_against

    @property
    def augments_training(self) -> bool:
        """Whether train texts are augmented."""
        return "meta_training" in self.augmentation.use

    def train_bank(self, encoder: Encoder) -> Made:
        """New texts of the train classes, judged by an encoder."""
        pools = self.task.pools("train").thinned(self.augmentation.train_texts)
        places = pools.members[pools.members >= 0].sort().values.tolist()
        bank = self._make("train", places, encoder, {"": list(self.augmentation.sources or ())})[""]
        self.made["train"] = Made("train", tuple(places), bank)
        return self.made["train"]

    def train_texts(self, encoder: Encoder) -> dict[int, tuple[str, ...]]:
        """For texts of the train classes what was made of them, for an encoder that is trained."""
        made = self.train_bank(encoder)
        return {
            place: tuple(one.text for one in kept)
            for place, kept in zip(made.places, made.bank.kept(), strict=True)
            if kept
        }

    def for_training(self, features: TaskFeatures, encoder: Encoder) -> TaskFeatures:
        """Features with the new texts of the train classes beside them."""
        return self._beside(features, self.train_bank(encoder))

    def valid_episodes(self, like: EpisodeBatch, episodes: int) -> EpisodeBatch:
        """Valid episodes from so few texts that all of them can be augmented.

        Args:
            like: valid episodes of the same shape.
            episodes: how many.
        """
        texts = max(self.asked.valid_texts, like.k_shot + like.n_query)
        request = EpisodeRequest("valid", like.n_way, like.k_shot, like.n_query, episodes)
        return draw(self.task, request, self.task.pools("valid").thinned(texts))

    def sentence(self) -> str:
        """What stands in the support of the test episodes, for a person to read."""
        made = self.made["test"]
        counts = made.bank.counts(list(self.augmentation.sources or ()))
        of = ", ".join(f"{name} {row['kept']:,} of {row['proposed']:,}" for name, row in counts.items())
        return (
            f"Support of the test episodes: {made.texts_per_class or 0:.0f} texts a class instead of "
            f"{sum(made.uses) / made.supports:.0f}; kept of what was made: {of}"
        )

    def decide(self, learner: Learner, features: TaskFeatures, encoder: Encoder, like: EpisodeBatch) -> None:
        """Let the policy choose the sources and their weight, or none; `augmentation` is then that choice.

        Args:
            learner: meta-trained.
            features: of the task.
            encoder: which gave them.
            like: valid episodes whose shape those of the decision have.
        """
        policy = self.asked.policy
        assert policy is not None
        episodes = self.valid_episodes(like, policy.episodes)
        places = _supports([episodes])
        choices = policy.choices(list(self.asked.sources or ()))
        banks = self._make("valid", places, encoder, choices)
        n_texts = len(self.task.texts)
        variants = {
            choices[name]: bank.variants(places, n_texts, 1.0, self.asked.margin, self.asked.merge)
            for name, bank in banks.items()
            if len(bank.features)
        }
        if not variants:
            log.warning(
                "No augmentation of the support: no source made a text that the filter keeps, of %d texts of the valid "
                "classes; augment.lowest_cosine=%s may be too high",
                *(len(places), self.asked.lowest_cosine),
            )
            self.nothing_kept = True
            return
        self.decision = policy.decide(learner, features, episodes, variants)
        log.info("%s", self.decision.sentence())
        if (chosen := self.decision.chosen) is not None:
            sources = {name: source for name, source in (self.asked.sources or {}).items() if name in chosen.sources}
            self.augmentation = replace(self.asked, sources=sources, weight=chosen.weight, policy=None)

    def on(self, part: Part, features: TaskFeatures, encoder: Encoder, episodes: EpisodeBatch) -> TaskFeatures:
        """Features with new texts beside all that stand in a support of the episodes; queries have none.

        Args:
            part: of the classes that the episodes are of.
            features: of the task.
            encoder: which gave them.
            episodes: whose supports are augmented.
        """
        places = _supports([episodes])
        bank = self._make(part, places, encoder, {"": list(self.augmentation.sources or ())})[""]
        augmented = self._beside(features, Made(part, tuple(places), bank))
        self.made[part] = _with_uses(Made(part, tuple(places), bank), augmented, episodes)
        return augmented

    def _beside(self, features: TaskFeatures, made: Made) -> TaskFeatures:
        if not len(made.bank.features):
            log.warning(
                "No new text of %d %s texts passed the filter; augment.lowest_cosine=%s may be too high",
                *(len(made.places), made.part, self.augmentation.lowest_cosine),
            )
            return features.without_variants()
        settings = self.augmentation
        n_texts = len(self.task.texts)
        variants = made.bank.variants(made.places, n_texts, settings.weight, settings.margin, settings.merge)
        return replace(features, variants=variants)

    def _make(
        self, part: Part, places: Sequence[int], encoder: Encoder, choices: Mapping[str, Sequence[str]]
    ) -> dict[str, Bank]:
        request = self._request(part, places, encoder)
        with main_first():
            banks = self.augmentation.make_each(request, choices, self.taken)
        self.notes.update({name: source.notes(request) for name, source in (self.augmentation.sources or {}).items()})
        return banks

    def _most(self, part: Part) -> int:
        """New texts of one text that are kept at most."""
        if part == "train":
            return self.augmentation.train_variants
        return self.most if part == "test" else min(self.most, self.augmentation.valid_variants)

    def _request(self, part: Part, places: Sequence[int], encoder: Encoder) -> AugmentRequest:
        task, settings = self.task, self.settings
        known_classes = range(len(task.classes)) if settings.classes == "all" else task.parts[part]
        order = {label: index for index, label in enumerate(known_classes)}
        labels = task.labels[torch.tensor(places, dtype=torch.long)].tolist()
        # Where labels of the support are wrong on purpose, nothing may go by the right ones.
        known = settings.label_names and not (part == "test" and settings.support_noise)
        return AugmentRequest(
            texts=tuple(task.texts[place] for place in places),
            most=self._most(part),
            seed=settings.seed,
            synonyms=tuple(task.synonyms[place] for place in places) if task.synonyms else (),
            classes=tuple(order[label] for label in labels) if known else (),
            class_names=tuple(task.label_names[label] for label in order) if settings.label_names else (),
            embed=lambda texts: _embedded(encoder, texts),
        )


def _embedded(encoder: Encoder, texts: Sequence[str]) -> Float[Tensor, "n dim"]:
    return normalize(encoder.encode(list(texts)), dim=-1)


def _supports(batches: Iterable[EpisodeBatch]) -> list[int]:
    """Every text that stands in a support."""
    indices = torch.cat([batch.support[batch.support_mask] for batch in batches])
    return indices.unique().tolist()


def _with_uses(made: Made, features: TaskFeatures, episodes: EpisodeBatch) -> Made:
    """Count in how many supports each text stands, and in how many each kept new text is nearest to its class."""
    n_texts = len(features.texts)
    stands = episodes.support[episodes.support_mask]
    uses = torch.bincount(stands, minlength=n_texts)[torch.tensor(made.places)]
    nearer = torch.zeros(0, dtype=torch.long)
    if features.variants is not None:
        kept = features.kept_variants(episodes)
        rows = features.variants.of(episodes.support)[kept]
        nearer = torch.bincount(rows, minlength=len(features.variants.features))
    supports = len(episodes) * episodes.n_way
    return replace(made, uses=tuple(uses.tolist()), nearer=tuple(nearer.tolist()), supports=supports)
