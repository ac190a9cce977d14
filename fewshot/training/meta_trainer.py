"""Episodic meta-training: draw episodes of the train classes, evaluate on the valid classes, keep the best."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import corrupt_support
from fewshot.errors import ConfigError
from fewshot.evaluation.evaluate import mean_accuracy
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner
from fewshot.ranges import NOT_NEGATIVE, POSITIVE, SHARE, Range
from fewshot.tasks.task import ClassPools
from fewshot.training.history import TrainingHistory
from fewshot.training.loop import run_loop
from fewshot.training.settings import EpisodicSettings
from fewshot.training.store import TrainingFiles

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MetaTrainer(EpisodicSettings):
    """Episodic training on cached features with early stopping on valid classes.

    Args:
        episodes_per_step: episodes in a batch.
        ways: classes per training episode; more than the test episodes have is better (Snell et al. 2017), all
            train classes when None.
        shots: support sizes, taken in turn, so that one learner suits them all; at 0 label names are used alone.
        learning_rate: AdamW's rate for weight matrices; a learner's own `meta_lr` overrides it.
        weight_decay: AdamW's decay of weight matrices; it draws a residual map back to the identity.
        support_noise: share of wrong labels in half of the steps that have four or more shots; teaches attention to
            give wrong labels less weight.

    The other settings are those of `EpisodicSettings` and `LoopSettings`.
    """

    episodes_per_step: int = 4
    learning_rate: float = 3e-4
    weight_decay: float = 1.0
    support_noise: float = 0.5

    RANGES: ClassVar[dict[str, Range]] = EpisodicSettings.RANGES | {
        **dict.fromkeys(("episodes_per_step", "learning_rate"), POSITIVE),
        "weight_decay": NOT_NEGATIVE,
        "support_noise": SHARE,
    }

    def fit(
        self,
        learner: Learner,
        features: TaskFeatures,
        train: Sequence[ClassPools],
        valid: Sequence[EpisodeBatch],
        seed: int,
        files: TrainingFiles | None = None,
    ) -> TrainingHistory:
        """Meta-train a learner in place; it keeps the weights that are best on the valid episodes.

        Args:
            learner: trained if it has parameters to train; else the history is empty.
            features: features of the task.
            train: pools of the train classes of each source.
            valid: episodes of the valid classes; their accuracies are averaged.
            seed: root seed; the stream is `training`.
            files: for checkpoints and events; None writes none.

        Raises:
            ConfigError: 0 shots, and no label names.
            TaskError: a train class is too small for one shot and the queries.
        """
        if not learner.is_meta_trained:
            return TrainingHistory()
        if features.label_names is None and 0 in self.shots:
            raise ConfigError(
                f"Got {self.GROUP}.shots={list(self.shots)} without label names, which leaves nothing to go by at 0 "
                f"shots. Leave out the 0, or set label_names=true."
            )
        learner.prepare(torch.cat([features.class_means(pools) for pools in train]))
        train = [pools for pools in train if len(pools.classes) > 1]
        if not train or self.steps == 0:
            return TrainingHistory()
        smallest = min(int(pools.sizes.min()) for pools in train)
        if max(self.shots) + self.queries > smallest:
            log.info(
                f"Training episodes have fewer than {max(self.shots)} shots and {self.queries} queries, for the "
                f"smallest train class has {smallest} texts (task.min_texts leaves such classes out)"
            )
        return run_loop(
            self,
            _EpisodicLoss(learner, features),
            self._groups(learner),
            lambda step, generator: self._draw(train, step, generator),
            lambda: mean_accuracy(learner, features, valid),
            seed=seed,
            count=lambda batch: batch.support.numel() + batch.query.numel(),
            files=files,
        )

    def _groups(self, learner: Learner) -> list[dict[str, Any]]:
        fine_tuned = {id(p) for p in learner.fine_tuned()}
        trained = [p for p in learner.parameters() if p.requires_grad]
        others = [p for p in trained if id(p) not in fine_tuned]
        rate = self.learning_rate if learner.meta_lr is None else learner.meta_lr
        matrices = {"params": [p for p in others if p.ndim >= 2], "lr": rate, "weight_decay": self.weight_decay}
        network = {"params": [p for p in trained if id(p) in fine_tuned], "lr": rate, "weight_decay": 0.0}
        return [matrices, network, self.scalars([p for p in others if p.ndim < 2])]

    def _draw(self, train: Sequence[ClassPools], step: int, generator: torch.Generator) -> EpisodeBatch:
        batch = self.draw_episodes(train, self.episodes_per_step, step, generator)
        noisy = batch.k_shot >= 4 and (step // len(self.shots)) % 2 == 1
        return corrupt_support(batch, self.support_noise, generator) if noisy else batch


class _EpisodicLoss(nn.Module):
    """The loss of a learner on a batch of episodes of cached features."""

    def __init__(self, learner: Learner, features: TaskFeatures):
        super().__init__()
        self.learner = learner
        self.features = features

    def forward(self, batch: EpisodeBatch) -> Tensor:
        return self.learner.loss(self.features.support(batch), self.features.query(batch), batch.targets)
