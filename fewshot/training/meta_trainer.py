"""Episodic meta-training: draw episodes from the train classes, watch the valid classes, keep the best."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.noise import corrupt_support
from fewshot.episodes.sampler import ClassPools, sample_episodes
from fewshot.errors import ConfigError
from fewshot.evaluation.evaluate import predict
from fewshot.evaluation.metrics import accuracy
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner
from fewshot.progress import track
from fewshot.randomness import child_generator


@dataclass(frozen=True)
class TrainingHistory:
    """What happened in a meta-training.

    Args:
        steps: steps taken.
        best_step: the step whose weights were kept; 0 is the start.
        losses: loss of each step, in nats.
        valid_accuracies: step → mean accuracy on the valid episodes.
    """

    steps: int = 0
    best_step: int = 0
    losses: list[float] = field(default_factory=list)
    valid_accuracies: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class MetaTrainer:
    """Episodic training on cached features with early stopping on valid classes.

    Args:
        steps: most optimiser steps.
        episodes_per_step: episodes in a step.
        ways: classes per training episode; more than the test episodes have is better (Snell et al. 2017), all
            train classes when None.
        shots: support sizes, taken in turn, so that one learner serves them all.
        queries: queries per class.
        learning_rate: AdamW's rate for weight matrices.
        scalar_learning_rate: its rate for scalars such as temperatures and attention weights.
        weight_decay: AdamW's decay of weight matrices; it pulls a residual map back to the identity.
        support_noise: share of wrong labels in half of the steps that have four or more shots; teaches an
            attention whom not to trust.
        evaluate_every: steps between looks at the valid classes.
        patience: looks without a better valid accuracy before training stops.
    """

    steps: int = 300
    episodes_per_step: int = 4
    ways: int | None = 25
    shots: Sequence[int] = (1, 5, 10)
    queries: int = 5
    learning_rate: float = 3e-4
    scalar_learning_rate: float = 1e-2
    weight_decay: float = 1.0
    support_noise: float = 0.5
    evaluate_every: int = 10
    patience: int = 6

    def __post_init__(self) -> None:
        """Collect every setting that is out of range.

        Raises:
            ConfigError: names them all.
        """
        positive = ("episodes_per_step", "queries", "learning_rate", "scalar_learning_rate", "evaluate_every")
        at_least_zero = ("steps", "patience", "weight_decay")
        wrong = [name for name in positive if not getattr(self, name) > 0]
        wrong += [name for name in at_least_zero if getattr(self, name) < 0]
        problems = [f"training.{name}={getattr(self, name)}" for name in wrong]
        if self.ways is not None and self.ways < 2:
            problems.append(f"training.ways={self.ways}")
        if not self.shots or min(self.shots) < 1:
            problems.append(f"training.shots={list(self.shots)}")
        if not 0 <= self.support_noise <= 1:
            problems.append(f"training.support_noise={self.support_noise}")
        if problems:
            raise ConfigError(
                f"Got {', '.join(problems)}. Expected positive numbers (steps, patience and weight_decay may be 0), "
                f"ways of 2 or more or null for all, shots as a list such as [1,5], and support_noise between 0 and 1."
            )

    def fit(
        self,
        learner: Learner,
        features: TaskFeatures,
        train: ClassPools,
        valid: Sequence[EpisodeBatch],
        seed: int,
    ) -> TrainingHistory:
        """Meta-train a learner in place; it ends with the weights that were best on the valid episodes.

        Args:
            learner: trained if it has anything to train.
            features: features of the task.
            train: pools of the train classes.
            valid: episodes of the valid classes; their accuracies are averaged.
            seed: root seed; the stream is `training`.

        Returns:
            The history, empty where there was nothing to train.

        Raises:
            TaskError: a train class is too small for one shot and the queries.
        """
        if not learner.is_meta_trained:
            return TrainingHistory()
        learner.prepare(_class_means(features, train))
        if len(train.classes) < 2 or self.steps == 0:
            return TrainingHistory()
        generator = child_generator(seed, "training")
        optimizer = self._optimizer(learner)
        history = TrainingHistory(valid_accuracies={0: _mean_accuracy(learner, features, valid)})
        best = _Best(history.valid_accuracies[0], 0, copy.deepcopy(learner.state_dict()))
        with track("Meta-training", self.steps, "steps") as advance:
            for step in range(1, self.steps + 1):
                batch = self._draw(train, step, generator)
                loss = learner.loss(features.support(batch), features.query(batch), batch.targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                history.losses.append(float(loss.detach()))
                advance(note=f"loss {history.losses[-1]:.3f}  valid {100 * best.accuracy:.1f} %")
                if step % self.evaluate_every and step < self.steps:
                    continue
                score = _mean_accuracy(learner, features, valid)
                history.valid_accuracies[step] = score
                if score > best.accuracy:
                    best = _Best(score, step, copy.deepcopy(learner.state_dict()))
                elif step - best.step >= self.patience * self.evaluate_every:
                    break
        learner.load_state_dict(best.state)
        return TrainingHistory(step, best.step, history.losses, history.valid_accuracies)

    def _optimizer(self, learner: Learner) -> torch.optim.Optimizer:
        trained = [p for p in learner.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim >= 2]
        scalars = [p for p in trained if p.ndim < 2]
        groups = [
            {"params": matrices, "lr": self.learning_rate, "weight_decay": self.weight_decay},
            {"params": scalars, "lr": self.scalar_learning_rate, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW([group for group in groups if group["params"]])

    def _draw(self, train: ClassPools, step: int, generator: torch.Generator) -> EpisodeBatch:
        smallest = int(train.sizes.min())
        queries = max(1, min(self.queries, smallest - 1))
        shots = min(self.shots[step % len(self.shots)], max(1, smallest - queries))
        ways = len(train.classes) if self.ways is None else min(self.ways, len(train.classes))
        batch = sample_episodes(train, self.episodes_per_step, ways, shots, queries, generator)
        noisy = shots >= 4 and (step // len(self.shots)) % 2 == 1
        return corrupt_support(batch, self.support_noise, generator) if noisy else batch


@dataclass(frozen=True)
class _Best:
    accuracy: float
    step: int
    state: dict


def _class_means(features: TaskFeatures, pools: ClassPools) -> Float[Tensor, "n_classes dim"]:
    groups = zip(pools.members, pools.sizes.tolist(), strict=True)
    return torch.stack([features.texts[members[:size]].mean(0) for members, size in groups])


def _mean_accuracy(learner: Learner, features: TaskFeatures, episodes: Sequence[EpisodeBatch]) -> float:
    scores = [float(accuracy(predict(learner, features, batch), batch.targets).mean()) for batch in episodes]
    return sum(scores) / len(scores)
