"""Meta-training of an encoder: episodes of the train classes, embedded in every step."""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch

from fewshot.encoders import Encoder, Trainable, TrainableEncoder, TrainableShare
from fewshot.episodes.batch import EpisodeBatch
from fewshot.errors import ConfigError, TaskError
from fewshot.features import encoded_features
from fewshot.learners.learner import Learner
from fewshot.randomness import child_generator
from fewshot.ranges import DECAY, NOT_NEGATIVE, POSITIVE, SHARES, Range, one_of, or_null
from fewshot.tasks import Task
from fewshot.tasks.class_pools import ClassPools
from fewshot.tasks.readers import find_texts, read_texts
from fewshot.training.augmented import AugmentedTexts
from fewshot.training.checkpoints import TrainingFiles, TrainingHistory
from fewshot.training.encoder_objective import TERMS, EncoderBatch, EncoderEvaluation, EncoderObjective, loss_learner
from fewshot.training.loop import run_loop
from fewshot.training.settings import EpisodicSettings, Precision, Schedule

log = logging.getLogger(__name__)

# What each kind of training starts from: what begins at zero bears larger steps.
_LEARNING_RATES = {"full": 1e-4, "lora": 1e-3, "adapter": 1e-3}
_WEIGHTS = tuple(f"{term}_weight" for term in TERMS)
Weighting = Literal["constant", "uncertainty"]
_TARGET_TEXTS = 32  # of the target domain in a step


@dataclass(frozen=True)
class TrainedEncoder:
    """A meta-trained encoder and its training.

    Args:
        encoder: with the trained weights.
        trainable: its trained form, to save.
        history: of the training.
        kept: share of the way from the published to the trained weights that was best on the valid classes.
        parameters: how many were trained.
    """

    encoder: Encoder
    trainable: TrainableEncoder
    history: TrainingHistory
    kept: float
    parameters: TrainableShare


@dataclass(frozen=True)
class EncoderTrainer(EpisodicSettings):
    """Meta-train an encoder on episodes of the train classes, with early stopping on valid classes.

    Args:
        ways: classes in the episode of a step, all train classes when None.
        learning_rate: AdamW's rate for the top layer; None is 1e-4, and 1e-3 for LoRA and adapters.
        layer_decay: what the rate is multiplied by from one layer to the next lower one.
        scalar_learning_rate: rate of the learner's scalars and of learned term weights.
        scale: first value of a learned factor from cosine to logit; a small one has a gradient where all is right, too.
        weight_decay: AdamW's decay of matrices.
        task_weight: of the learner's loss on the episodes.
        contrastive_weight: of the supervised contrastive term over texts and label names.
        consistency_weight: of the divergence from the frozen encoder's neighbourhoods.
        alignment_weight: of the distance to the target domain's mean embedding.
        augmentation_weight: of the unsupervised loss between texts of the train classes and their variants.
        augmentation_texts: texts of a step in that loss.
        augmentation_variants: variants of each of them.
        augmented_positives: a variant of each text is one more of its class in the contrastive term.
        adversarial_weight: of the loss where word embeddings are perturbed against it.
        adversarial_size: size of the perturbation, as a share of the length of a text's embeddings.
        weighting: `constant`, or `uncertainty` to learn factors beside the weights above.
        temperature: of the contrastive and the augmentation term.
        target: folder of the target domain, for alignment, with `texts.jsonl`, `.csv`, `.tsv` or `.parquet`; only the
            column `text` is read.
        interpolation: shares of the way from the published to the trained weights, of which the best on the valid
            classes is kept.
        valid_texts: texts of each valid class that evaluations embed.
        tokens_per_pass: padded tokens that go through the encoder at once, at most.

    The other settings are those of `EpisodicSettings` and `LoopSettings`.
    """

    steps: int = 100
    evaluate_every: int = 20
    patience: int = 3
    schedule: Schedule = "linear"
    warmup: float = 0.1
    max_gradient_norm: float | None = 1.0
    precision: Precision = "bfloat16"
    shots: Sequence[int] = (1, 2, 3)
    queries: int = 2

    learning_rate: float | None = None
    layer_decay: float = 0.9
    scale: float = 10.0
    weight_decay: float = 0.01
    task_weight: float = 1.0
    contrastive_weight: float = 0.0
    consistency_weight: float = 0.0
    alignment_weight: float = 0.0
    augmentation_weight: float = 0.0
    augmentation_texts: int = 16
    augmentation_variants: int = 2
    augmented_positives: bool = True
    adversarial_weight: float = 0.0
    adversarial_size: float = 0.02
    weighting: Weighting = "constant"
    temperature: float = 0.1
    target: str | None = None
    interpolation: Sequence[float] = (0.5, 0.75, 1.0)
    valid_texts: int = 20
    tokens_per_pass: int = 1024

    GROUP: ClassVar[str] = "encoder_training"
    RANGES: ClassVar[dict[str, Range]] = EpisodicSettings.RANGES | {
        **dict.fromkeys(("scale", "temperature", "valid_texts", "tokens_per_pass"), POSITIVE),
        **dict.fromkeys(("augmentation_variants", "adversarial_size"), POSITIVE),
        **dict.fromkeys(("weight_decay", *_WEIGHTS), NOT_NEGATIVE),
        "shots": (lambda shots: len(shots) > 0 and min(shots) >= 1, "a list such as [1,2]"),
        "augmentation_texts": (lambda texts: texts >= 2, "2 or more"),
        "learning_rate": or_null(POSITIVE),
        "layer_decay": DECAY,
        "interpolation": SHARES,
        "weighting": one_of(*get_args(Weighting)),
    }

    def out_of_range(self) -> dict[str, str]:
        """Name of each setting that cannot be used → what is expected of it."""
        wrong = super().out_of_range()
        if not any(getattr(self, name) > 0 for name in _WEIGHTS if name != "adversarial_weight"):
            wrong["task_weight"] = "one weight above 0, beside adversarial_weight,"
        if self.alignment_weight and self.target is None:
            wrong["alignment_weight"] = "target=TASK_FOLDER"
        return wrong

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
        augmented: Mapping[int, Sequence[str]] | None = None,
    ) -> TrainedEncoder:
        """Meta-train a copy of the encoder; it ends with the weights that were best on the valid episodes.

        Args:
            encoder: it is not changed.
            trainable: what is trained of it.
            make_learner: number of features → learner, whose loss is the task loss. Its scalars are trained along;
                its matrices stay, for what they would learn is here the encoder's to learn.
            task: its train classes are trained on.
            valid: episodes of the valid classes; their accuracies are averaged.
            label_names: whether names of classes are evidence.
            seed: root seed; the stream is `encoder`.
            files: where checkpoints and TensorBoard events go; None writes none.
            augmented: index of a text of the train classes → variants of it; None where none were made.

        Raises:
            ConfigError: a learner whose logits do not follow the features, variants of texts of other classes, or
                `augmentation_weight` without variants.
            TaskError: a train class is too small for one shot and the queries.
        """
        variants = self._augmented(task, augmented)
        classes = [task.classes[label] for part in ("train", "valid") for label in task.parts[part]]
        seen = {"task": task.name, "split": task.split, "classes": classes}
        copy = TrainableEncoder(encoder, trainable, child_generator(seed, "encoder/lora"), seen)
        names = task.label_texts() if label_names else None
        published = encoded_features(encoder, task, label_names)
        learner = loss_learner(make_learner(published.dim), published.class_means(task.pools("train")), self.scale)
        learner = learner.to(next(copy.parameters()).device)
        objective = EncoderObjective(
            copy,
            learner,
            task.texts,
            names,
            weights={term: getattr(self, name) for term, name in zip(TERMS, _WEIGHTS, strict=True)},
            teacher=published,
            target=self.target_texts(),
            augmented=variants,
            adversarial_size=self.adversarial_size,
            temperature=self.temperature,
            tokens_per_pass=self.tokens_per_pass,
            learned_weights=self.weighting == "uncertainty",
        )
        log.info(f"Encoder: {copy.trainable_share}")
        evaluation = EncoderEvaluation(copy, learner, task, names, valid)
        history = run_loop(
            self,
            objective,
            self._groups(copy, objective),
            lambda step, generator: self._draw(task.pools("train"), step, generator, len(objective.target), variants),
            evaluation,
            seed=seed,
            title="Meta-training the encoder",
            stream="encoder",
            count=lambda batch: batch.episodes.support.numel() + batch.episodes.query.numel(),
            files=files,
        )
        kept = evaluation.interpolate(self.interpolation) if history.best_step else 0.0
        return TrainedEncoder(copy.merged() if kept else encoder, copy, history, kept, copy.trainable_share)

    def _augmented(self, task: Task, augmented: Mapping[int, Sequence[str]] | None) -> AugmentedTexts | None:
        """The variants, if some term takes them."""
        if self.augmentation_weight and augmented is None:
            raise ConfigError(
                f"Got encoder_training.augmentation_weight={self.augmentation_weight} and no variants of the train "
                f"classes' texts. Set augment=semantic and augment.use=[meta_training], or "
                f"encoder_training.augmentation_weight=0."
            )
        used = self.augmentation_weight or self._variants_are_positives
        return None if augmented is None or not used else AugmentedTexts.of(task, augmented)

    @property
    def _variants_are_positives(self) -> bool:
        return self.augmented_positives and self.contrastive_weight > 0

    def target_texts(self) -> tuple[str, ...]:
        """The distinct texts of the target domain, for alignment; a TaskError where the folder has none."""
        if not (self.target and self.alignment_weight):
            return ()
        found = tuple(dict.fromkeys(read_texts(find_texts(Path(self.target).expanduser(), f"{self.GROUP}.target"))))
        if not found:
            raise TaskError(f"{self.target} has no texts to align with. Add some, or set {self.GROUP}.target=null.")
        return found

    def determining(self) -> dict[str, Any]:
        """As of any training, with the texts of the target domain in the place of their folder."""
        texts = self.target_texts()
        digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
        return super().determining() | {"target": digest if texts else None}

    def _groups(self, encoder: TrainableEncoder, objective: EncoderObjective) -> list[dict[str, Any]]:
        rate = _LEARNING_RATES[encoder.trainable.kind] if self.learning_rate is None else self.learning_rate
        scalars = [p for module in (objective.learner, objective.log_variances) for p in module.parameters()]
        scalars = [p for p in scalars if p.requires_grad]
        groups = encoder.parameter_groups(rate, self.layer_decay, self.weight_decay)
        return [*groups, self.scalars(scalars)]

    def _draw(
        self, train: ClassPools, step: int, generator: torch.Generator, n_target: int, augmented: AugmentedTexts | None
    ) -> EncoderBatch:
        episodes = self.draw_episodes(train, 1, step, generator)
        batch = EncoderBatch(episodes)
        if n_target:
            batch = replace(batch, target=torch.randint(n_target, (_TARGET_TEXTS,), generator=generator))
        if augmented is not None and self.augmentation_weight:
            drawn = augmented.draw(self.augmentation_texts, self.augmentation_variants, generator)
            batch = replace(batch, unlabelled=drawn)
        if augmented is not None and self._variants_are_positives:
            own = torch.cat([episodes.support.flatten(), episodes.query.flatten()])
            batch = replace(batch, positives=augmented.draw_of(own, generator))
        return batch


@dataclass(frozen=True)
class QuickEncoderTrainer(EncoderTrainer):
    """A third of the steps at twice the rate, for full fine-tuning: half to two thirds of the gain on medical_terms."""

    steps: int = 30
    evaluate_every: int = 30  # once after the first, at the end
    learning_rate: float | None = 2e-4
