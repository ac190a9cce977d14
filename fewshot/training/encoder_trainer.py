"""Meta-training of an encoder: episodes of the train classes, embedded in every step."""

import hashlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders import Encoder, Trainable, TrainableEncoder, TrainableShare
from fewshot.encoders.described import described_encoder
from fewshot.encoders.trained import read_trained, write_trained
from fewshot.episodes.batch import EpisodeBatch
from fewshot.errors import ConfigError
from fewshot.evaluation.evaluate import mean_accuracy
from fewshot.features import TaskFeatures, encoded_features
from fewshot.learners.learner import Learner
from fewshot.processes import as_main
from fewshot.randomness import child_generator
from fewshot.tasks import Task
from fewshot.tasks.readers import find_texts, read_texts
from fewshot.tasks.task import PARTS, ClassPools
from fewshot.training.encoder_objective import EncoderBatch, EncoderObjective, EncoderTrainingSettings
from fewshot.training.history import TrainingHistory
from fewshot.training.loop import run_loop
from fewshot.training.store import TrainingFiles

log = logging.getLogger(__name__)

# Parameters that start at zero bear larger steps.
_LEARNING_RATES = {"full": 1e-4, "lora": 1e-3, "adapter": 1e-3}
_TARGET_TEXTS = 32  # of the target domain in a step


@dataclass(frozen=True)
class TrainedEncoder:
    """A meta-trained encoder and its training.

    Args:
        encoder: with the trained weights.
        trainable: the part of it that was trained.
        history: of the training.
        kept: interpolation of published and trained weights (0 to 1) that was best on the valid classes.
        parameters: number of the trained ones, and of all.
    """

    encoder: Encoder
    trainable: Trainable
    history: TrainingHistory
    kept: float
    parameters: TrainableShare

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the trained weights, and return the other fields as JSON can hold them."""
        if self.kept and self.encoder.trained is not None:
            write_trained(folder, self.encoder.trained, described_encoder(self.encoder)["settings"])
        description = {"history": self.history.described(), "kept": self.kept, "parameters": vars(self.parameters)}
        return description | {"fingerprint": self.encoder.fingerprint}

    @classmethod
    def load(
        cls, folder: Path, description: Mapping[str, Any], encoder: Encoder, trainable: Trainable
    ) -> "TrainedEncoder":
        """Read what `save` wrote of the same encoder; EncoderError, LookupError or ValueError if that fails."""
        history, kept = TrainingHistory.from_described(description["history"]), float(description["kept"])
        trained = encoder.replace(weights=None).with_trained(read_trained(folder)) if kept else encoder
        if trained.fingerprint != description["fingerprint"]:
            raise ValueError(f"its fingerprint is {trained.fingerprint}, expected {description['fingerprint']}")
        return cls(trained, trainable, history, kept, TrainableShare(**description["parameters"]))


@dataclass(frozen=True)
class EncoderTrainer(EncoderTrainingSettings):
    """Meta-train an encoder on episodes of the train classes, with early stopping on valid classes.

    The settings are those of `EncoderTrainingSettings`, `EpisodicSettings` and `LoopSettings`.
    """

    def fit(
        self,
        encoder: Encoder,
        trainable: Trainable,
        make_learner: Callable[[int], Learner],
        task: Task,
        valid: Sequence[EpisodeBatch],
        label_names: bool,
        seed: int,
        files: TrainingFiles | None = None,
    ) -> TrainedEncoder:
        """Meta-train a copy of the encoder; it keeps the weights that are best on the valid episodes.

        Args:
            encoder: it is not changed.
            trainable: the part of it that is trained.
            make_learner: number of features → learner, whose loss is the task loss. Its scalars are trained too; its
                matrices are not, since the encoder learns in their place.
            task: its train classes are trained on.
            valid: episodes of the valid classes; their accuracies are averaged.
            label_names: True if names of classes are evidence.
            seed: root seed; the stream is `encoder`.
            files: for checkpoints and TensorBoard events; None writes none.

        Raises:
            ConfigError: a learner whose logits do not follow the features.
            TaskError: a train class is too small for one shot and the queries.
        """
        train = self.train_pools(task)
        classes = [label for part in PARTS[:2] for label in task.parts[part]]
        drawn = torch.cat([*(pools.members[pools.members >= 0] for pools in train), _texts_of(valid)]).tolist()
        seen = {"task": task.name, "split": task.split, "digests": sorted(task.digests(classes, drawn))}
        copy = TrainableEncoder(encoder, trainable, child_generator(seed, "encoder/lora"), seen)
        names = task.label_texts() if label_names else None
        published = encoded_features(encoder, task, label_names)
        learner = loss_learner(make_learner(published.dim), published.class_means(task.pools("train")), self.scale)
        learner = learner.to(next(copy.parameters()).device)
        target = self.target_texts()
        objective = EncoderObjective(
            copy,
            learner,
            task.texts,
            names,
            self,
            teacher=published,
            target=target,
            target_teacher=normalize(encoder.encode(target), dim=-1) if target else None,
        )
        log.info(f"Encoder: {copy.trainable_share}")
        evaluation = EncoderEvaluation(copy, learner, task, names, valid)
        start = evaluation.by_source() if len(task.sources) > 1 else {}
        history = run_loop(
            self,
            objective,
            self._groups(copy, objective),
            lambda step, generator: self._draw(train, step, generator, len(objective.target)),
            evaluation,
            seed=seed,
            title="Meta-training the encoder",
            stream="encoder",
            count=lambda batch: batch.episodes.support.numel() + batch.episodes.query.numel(),
            files=files,
        )
        kept = evaluation.interpolate(self.interpolation) if history.best_step else 0.0
        if start and kept:
            gains = {name: value - start[name] for name, value in evaluation.by_source().items()}
            log.info(
                "Gains on valid classes: " + ", ".join(f"{name} {100 * gain:+.1f}" for name, gain in gains.items())
            )
        return TrainedEncoder(copy.merged() if kept else encoder, trainable, history, kept, copy.trainable_share)

    def target_texts(self) -> tuple[str, ...]:
        """The distinct texts of `target`, if a term uses them; TaskError if the folder has none."""
        if not (self.target and (self.alignment_weight or self.consistency_weight)):
            return ()
        return tuple(dict.fromkeys(read_texts(find_texts(Path(self.target).expanduser(), f"{self.GROUP}.target"))))

    def determining(self) -> dict[str, Any]:
        """As in `LoopSettings`, with a digest of the target domain's texts instead of their folder."""
        texts = self.target_texts()
        digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
        return super().determining() | {"target": digest if texts else None}

    def _groups(self, encoder: TrainableEncoder, objective: EncoderObjective) -> list[dict[str, Any]]:
        rate = _LEARNING_RATES[encoder.trainable.kind] if self.learning_rate is None else self.learning_rate
        scalars = [p for module in (objective.learner, objective.log_variances) for p in module.parameters()]
        scalars = [p for p in scalars if p.requires_grad]
        groups = encoder.parameter_groups(rate, self.layer_decay, self.weight_decay)
        return [*groups, self.scalars(scalars)]

    def train_pools(self, task: Task) -> list[ClassPools]:
        """Texts of the train classes of each source that has two or more, at most `train_texts` of a class."""
        pools = [pools for pools in task.source_pools("train").values() if len(pools.classes) > 1]
        return pools if self.train_texts is None else [each.thinned(self.train_texts) for each in pools]

    def _draw(self, train: Sequence[ClassPools], step: int, generator: torch.Generator, n_target: int) -> EncoderBatch:
        episodes = self.draw_episodes(train, 1, step, generator)
        if not n_target:
            return EncoderBatch(episodes)
        return EncoderBatch(episodes, torch.randint(n_target, (_TARGET_TEXTS,), generator=generator))


@dataclass(frozen=True)
class QuickEncoderTrainer(EncoderTrainer):
    """A third of the steps at twice the rate, for full fine-tuning: half to two thirds of the gain on medical_terms."""

    steps: int = 30
    evaluate_every: int = 30  # once, at the end, after that before training
    learning_rate: float | None = 2e-4


@dataclass(frozen=True)
class EncoderEvaluation:
    """Accuracy of the current encoder and learner on the valid episodes; only their texts are embedded."""

    trainable: TrainableEncoder
    learner: Learner
    task: Task
    names: list[str] | None
    valid: Sequence[EpisodeBatch]

    @cached_property
    def used(self) -> Int[Tensor, " n_used"]:
        """Indices of the texts of the episodes."""
        return _texts_of(self.valid)

    def __call__(self) -> float:
        """Mean accuracy over the sources."""
        accuracies = self.by_source()
        return sum(accuracies.values()) / len(accuracies)

    def by_source(self) -> dict[str, float]:
        """Source → mean accuracy over its batches of episodes."""
        used = [self.task.texts[index] for index in self.used.tolist()]
        embedded = normalize(self.trainable.compute([*used, *(self.names or [])]), dim=-1)
        rows, names = embedded.tensor_split([len(used)])
        texts = torch.zeros(len(self.task.texts), embedded.shape[1]).index_copy_(0, self.used, rows)
        learner = deepcopy(self.learner).cpu()
        features = TaskFeatures(texts, None if self.names is None else names)
        batches: dict[str, list[EpisodeBatch]] = {}
        for batch in self.valid:
            batches.setdefault(self.task.source_of(int(batch.classes[0, 0])), []).append(batch)
        return {source: mean_accuracy(learner, features, episodes) for source, episodes in batches.items()}

    def interpolate(self, shares: Sequence[float]) -> float:
        """Interpolate published and trained weights by the best of some shares, and return it."""
        scores = {}
        for share in shares:
            self.trainable.interpolate(share)
            scores[share] = self()
        best = as_main(max(scores, key=lambda share: scores[share]))
        self.trainable.interpolate(best)
        return best


def _texts_of(episodes: Sequence[EpisodeBatch]) -> Int[Tensor, " n_used"]:
    """Indices of the texts of some episodes."""
    return torch.cat([part.flatten() for batch in episodes for part in (batch.support, batch.query)]).unique()


def loss_learner(learner: Learner, class_means: Float[Tensor, "n_classes dim"], scale: float) -> Learner:
    """Prepare a learner in place: scalars are trained, `log_scale` starts at `log(scale)`, matrices are not trained."""
    if not learner.differentiable:
        raise ConfigError(
            f"Got an encoder to train with the learner {learner.title!r}, whose loss has no gradient for the "
            f"encoder. Set learner=attention_prototypical, prototypical, centroid or ridge, or trainable=none."
        )
    learner.prepare(class_means)
    for name, parameter in learner.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and parameter.ndim < 2)
        if name == "log_scale":
            nn.init.constant_(parameter, math.log(scale))
    return learner
