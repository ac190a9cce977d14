"""Meta-training of MAML through the encoder: episodes of token ids, one inner loop after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.encoders import Encoder, Trainable
from fewshot.episodes.batch import EpisodeBatch
from fewshot.learners.maml.encoder_maml import EncoderMAML, TokenEpisode, token_rows
from fewshot.learners.maml.settings import MAMLSettings
from fewshot.ranges import POSITIVE, Range
from fewshot.tasks.task import Task
from fewshot.training.history import TrainingHistory
from fewshot.training.loop import run_loop
from fewshot.training.settings import EpisodicSettings
from fewshot.training.store import TrainingFiles


@dataclass(frozen=True)
class EncoderMAMLTrainer(EpisodicSettings):
    """Train initial weights from which a few steps on a support, through the encoder, make a classifier.

    Args:
        episodes_per_step: episodes in a batch.
        learning_rate: AdamW's rate for matrices and for the encoder's parameters; MAML's `meta_lr` overrides it.
        scalar_learning_rate: its rate for the scale and for learned rates of the inner loop.

    The other settings are those of `EpisodicSettings` and `LoopSettings`.
    """

    steps: int = 40
    patience: int = 3
    max_gradient_norm: float | None = 1.0
    ways: int | None = 5
    shots: Sequence[int] = (1, 5)
    queries: int = 3

    episodes_per_step: int = 2
    learning_rate: float = 1e-4

    RANGES: ClassVar[dict[str, Range]] = EpisodicSettings.RANGES | dict.fromkeys(
        ("episodes_per_step", "learning_rate"), POSITIVE
    )

    def fit(
        self,
        encoder: Encoder,
        trainable: Trainable,
        settings: MAMLSettings,
        task: Task,
        valid: Sequence[EpisodeBatch],
        label_names: bool,
        seed: int,
        files: TrainingFiles | None = None,
    ) -> tuple[EncoderMAML, TrainingHistory]:
        """Meta-train; the learner keeps the weights that are best on the valid episodes.

        Args:
            encoder: it is not changed.
            trainable: the part of it that the inner loop adapts.
            settings: of MAML.
            task: its train classes are trained on; with fewer than two nothing is trained.
            valid: episodes of the valid classes; their accuracies are averaged.
            label_names: True if names of classes are evidence.
            seed: root seed; the stream is `training`.
            files: for checkpoints and events; None writes none.

        Raises:
            ConfigError: settings that do not go together, or 0 shots and no label names.
            EncoderError: the encoder cannot be loaded or adapted.
        """
        learner = EncoderMAML(encoder, trainable, settings, seed)
        if len(task.parts["train"]) < 2 or not valid or self.steps == 0:
            return learner, TrainingHistory()
        tokens, train = TaskTokens.of(task, encoder, label_names), list(task.source_pools("train").values())
        valid = [episodes for episodes in valid if episodes.n_way == settings.ways] or list(valid)

        def draw(step: int, generator: torch.Generator) -> list[TokenEpisode]:
            drawn = self.draw_episodes(train, self.episodes_per_step, step, generator)
            return [tokens.episode(drawn[number]) for number in range(len(drawn))]

        history = run_loop(
            self,
            learner,
            self._groups(learner),
            draw,
            lambda: sum(tokens.accuracy(learner, episodes) for episodes in valid) / len(valid),
            seed=seed,
            count=lambda batch: sum(len(episode.support) + len(episode.query) for episode in batch),
            files=files,
        )
        return learner, history

    def _groups(self, learner: EncoderMAML) -> list[dict[str, Any]]:
        rate = self.learning_rate if learner.meta_lr is None else learner.meta_lr
        published = {id(parameter) for parameter in learner.pretrained}
        trained = [parameter for parameter in learner.parameters() if parameter.requires_grad]
        # Biases and norms of the encoder have not the rate of scalars, and the encoder's weights no decay.
        others = [p for p in trained if p.ndim >= 2 or id(p) in published]
        scalars = [p for p in trained if p.ndim < 2 and id(p) not in published]
        return [{"params": others, "lr": rate, "weight_decay": 0.0}, self.scalars(scalars)]


@dataclass(frozen=True)
class TaskTokens:
    """Token ids of a task's texts, and of its label names if they are used; one row for each."""

    texts: Int[Tensor, "n_texts tokens"]
    label_names: Int[Tensor, "n_classes tokens"] | None

    @classmethod
    def of(cls, task: Task, encoder: Encoder, label_names: bool) -> "TaskTokens":
        """Tokenize a task."""
        rows = token_rows(encoder, [*task.texts, *(task.label_texts() if label_names else [])])
        texts, names = rows.tensor_split([len(task.texts)])
        return cls(texts, names if label_names else None)

    def episode(self, batch: EpisodeBatch) -> TokenEpisode:
        """One episode, given as a batch of one."""
        mask = batch.support_mask[0]
        rows, ways = self.texts[batch.support[0][mask]], mask.nonzero()[:, 0]
        if self.label_names is not None:
            rows = torch.cat([rows, self.label_names[batch.classes[0]]])
            ways = torch.cat([ways, torch.arange(batch.n_way)])
        return TokenEpisode(rows, ways, self.texts[batch.query[0].flatten()], batch.targets[0], batch.n_way)

    def logits(self, learner: EncoderMAML, episodes: EpisodeBatch) -> Float[Tensor, "episodes n_query n_way"]:
        """Logits of every query, one inner loop after another."""
        with torch.no_grad():
            return torch.stack([learner.logits(self.episode(episodes[number])) for number in range(len(episodes))])

    def accuracy(self, learner: EncoderMAML, episodes: EpisodeBatch) -> float:
        """Mean accuracy over episodes."""
        return float((self.logits(learner, episodes).argmax(-1) == episodes.targets).double().mean())
