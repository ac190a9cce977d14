"""The loss of an encoder in one step: that of its episodes, and weighted terms; and its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders import TrainableEncoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner
from fewshot.ranges import DECAY, NOT_NEGATIVE, POSITIVE, SHARES, Range, one_of, or_null
from fewshot.training.settings import EpisodicSettings, Precision, Schedule
from fewshot.training.terms import alignment, consistency, perturbed, recorded, supervised_contrastive, word_layer

TERMS = ("task", "contrastive", "consistency", "alignment", "adversarial", "pull")
_WEIGHTS = tuple(f"{term}_weight" for term in TERMS)
Weighting = Literal["constant", "uncertainty"]
_NONE = torch.empty(0, dtype=torch.long)


@dataclass(frozen=True)
class EncoderTrainingSettings(EpisodicSettings):
    """Settings of the training of an encoder.

    Args:
        ways: classes in the episode of a step, all train classes when None.
        learning_rate: AdamW's rate for the top layer; None is 1e-4, and 1e-3 for LoRA and adapters.
        layer_decay: factor of the rate from one layer to the next lower one.
        scalar_learning_rate: rate of the learner's scalars and of learned term weights.
        scale: first value of a learned factor from cosine to logit; a small one has a gradient even if all is right.
        weight_decay: AdamW's decay of matrices.
        task_weight: of the learner's loss on the episodes.
        contrastive_weight: of the supervised contrastive term over texts and label names.
        consistency_weight: of the divergence from the frozen encoder's neighbourhoods, among the texts of a step and
            some of `target`.
        alignment_weight: of the distance to the target domain's mean embedding.
        adversarial_weight: of the loss with perturbed word embeddings.
        adversarial_size: size of the perturbation, as a share of the length of a text's embeddings.
        pull_weight: of the squared distance to the published weights; with LoRA or adapters, of the parameters that
            start at zero.
        weighting: `constant`, or `uncertainty` to learn factors beside the weights above.
        temperature: of the contrastive term.
        target: file of unlabelled texts, for alignment with their domain and for consistency, or folder with
            `texts.jsonl`, `.csv`, `.tsv`, `.parquet` or `.xlsx`; only the column of the texts is read.
        interpolation: shares of the update to choose from, by the accuracy on the valid classes.
        train_texts: texts of each train class that episodes draw from; None is all.
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
    adversarial_weight: float = 0.0
    adversarial_size: float = 0.02
    pull_weight: float = 0.0
    weighting: Weighting = "constant"
    temperature: float = 0.1
    target: str | None = None
    interpolation: Sequence[float] = (0.5, 0.75, 1.0)
    train_texts: int | None = None
    valid_texts: int = 20
    tokens_per_pass: int = 1024

    GROUP: ClassVar[str] = "encoder_training"
    RANGES: ClassVar[dict[str, Range]] = EpisodicSettings.RANGES | {
        **dict.fromkeys(("scale", "temperature", "valid_texts", "tokens_per_pass", "adversarial_size"), POSITIVE),
        **dict.fromkeys(("weight_decay", *_WEIGHTS), NOT_NEGATIVE),
        "shots": (lambda shots: len(shots) > 0 and min(shots) >= 1, "a list such as [1,2]"),
        **dict.fromkeys(("learning_rate", "train_texts"), or_null(POSITIVE)),
        "layer_decay": DECAY,
        "interpolation": SHARES,
        "weighting": one_of(*get_args(Weighting)),
    }

    def out_of_range(self) -> dict[str, str]:
        """Name of each setting that cannot be used → the expected value."""
        wrong = super().out_of_range()
        if not any(getattr(self, name) > 0 for name in _WEIGHTS if name not in ("adversarial_weight", "pull_weight")):
            wrong["task_weight"] = "one weight above 0, beside adversarial_weight and pull_weight,"
        if self.alignment_weight and self.target is None:
            wrong["alignment_weight"] = "target=TASK_FOLDER"
        return wrong

    @property
    def weights(self) -> dict[str, float]:
        """The terms with a weight that is not 0, and their weights."""
        weights = {term: getattr(self, name) for term, name in zip(TERMS, _WEIGHTS, strict=True)}
        return {term: weight for term, weight in weights.items() if weight}


@dataclass(frozen=True)
class EncoderBatch:
    """Episodes of a step, and indices of texts of the target domain."""

    episodes: EpisodeBatch
    target: Int[Tensor, " n_target"] = _NONE


@dataclass(frozen=True)
class StepTexts:
    """The distinct texts and classes of a batch, the class of each text, and the batch as indices into both."""

    episodes: EpisodeBatch
    texts: Int[Tensor, " n_texts"]
    classes: Int[Tensor, " n_classes"]
    labels: Int[Tensor, " n_texts"]

    @classmethod
    def of(cls, batch: EpisodeBatch, device: torch.device) -> "StepTexts":
        """From a batch whose support has no padding; tensors are on `device`."""
        batch = EpisodeBatch(*(getattr(batch, part.name).to(device) for part in fields(batch)))
        both = torch.cat([batch.support, batch.query], dim=2)
        texts, indices = both.unique(return_inverse=True)
        classes, ways = batch.classes.unique(return_inverse=True)
        labels = torch.empty_like(texts).index_put_((indices,), ways[..., None].expand_as(indices))
        support, query = indices.split([batch.k_shot, batch.n_query], dim=2)
        return cls(replace(batch, classes=ways, support=support, query=query), texts, classes, labels)


class EncoderObjective(nn.Module):
    """Embed the texts of a batch and sum the weighted losses.

        L = w_task L_task + w_contrastive L_contrastive + w_consistency L_consistency + w_alignment L_alignment
            + w_adversarial L_adversarial + w_pull |weights - published|^2

    L_adversarial is the weighted sum of all other losses with word embeddings perturbed to increase it.
    With learned weights each w_i multiplies exp(-s_i), and s_i is added.

    Batches index `texts`, all texts of the task. The teacher's features, of the task and of `target`, are by the
    published weights.

    Source: Kendall, Gal and Cipolla 2018, "Multi-Task Learning Using Uncertainty",
        https://arxiv.org/abs/1705.07115, equation 10, for the learned weights; Li, Grandvalet and Davoine 2018,
        "Explicit Inductive Bias for Transfer Learning", https://arxiv.org/abs/1802.01483, for the pull (L2-SP).
    """

    def __init__(
        self,
        encoder: TrainableEncoder,
        learner: Learner,
        texts: Sequence[str],
        names: Sequence[str] | None,
        settings: EncoderTrainingSettings,
        *,
        teacher: TaskFeatures | None = None,
        target: Sequence[str] = (),
        target_teacher: Float[Tensor, "n_target dim"] | None = None,
    ):
        super().__init__()
        self.encoder, self.learner = encoder, learner
        self.texts, self.names, self.teacher = texts, names, teacher
        self.target, self.target_teacher = target, target_teacher
        self.settings, self.weights = settings, settings.weights
        self.log_variances = nn.ParameterDict()
        if settings.weighting == "uncertainty":
            self.log_variances.update({name: nn.Parameter(torch.zeros(())) for name in self.weights})

    def forward(self, batch: EncoderBatch) -> dict[str, Tensor]:
        """The losses by name, in nats, and their weighted sum as `loss`."""
        step = StepTexts.of(batch.episodes, next(self.encoder.parameters()).device)
        if "adversarial" not in self.weights:
            losses = self._losses(step, batch)
            return {"loss": self._sum(losses), **losses}
        layer = word_layer(self.encoder)
        with recorded(layer) as seen:
            losses = self._losses(step, batch)
        with perturbed(layer, seen.perturbations(self._sum(losses, learned=False), self.settings.adversarial_size)):
            losses["adversarial"] = self._sum(self._losses(step, batch), learned=False)
        return {"loss": self._sum(losses), **losses}

    def _losses(self, step: StepTexts, batch: EncoderBatch) -> dict[str, Tensor]:
        """All terms but the adversarial one."""
        names = [] if self.names is None else [self.names[index] for index in step.classes.tolist()]
        texts = [*(self.texts[index] for index in step.texts.tolist()), *names]
        target = [self.target[index] for index in batch.target.tolist()]
        embedded = normalize(self.encoder.embed_texts([*texts, *target], self.settings.tokens_per_pass), dim=-1)
        ours, theirs = embedded.tensor_split([len(texts)])
        return {name: self._term(name, step, batch, ours, theirs) for name in self.weights if name != "adversarial"}

    def _term(self, name: str, step: StepTexts, batch: EncoderBatch, ours: Tensor, target: Tensor) -> Tensor:
        """A term by unit vectors: `ours` are the texts of the episodes and the names of their classes."""
        # Cosines over a low temperature: with the eight bits of bfloat16 the gradient of consistency is 7 % off.
        with torch.autocast(ours.device.type, enabled=False):
            if name == "contrastive":
                classes = torch.arange(len(ours) - len(step.texts), device=step.labels.device)
                return supervised_contrastive(ours, torch.cat([step.labels, classes]), self.settings.temperature)
            if name == "consistency":
                return consistency(torch.cat([ours, target]), self._teacher_rows(step, batch).to(ours.device))
            if name == "alignment":
                return alignment(ours, target)
            if name == "pull":
                return self.encoder.squared_distance()
        texts, names = ours.tensor_split([len(step.texts)])
        features, episodes = TaskFeatures(texts, names if len(names) else None), step.episodes
        targets = episodes.targets.to(ours.device)
        return self.learner.loss(features.support(episodes), features.query(episodes), targets)

    def _teacher_rows(self, step: StepTexts, batch: EncoderBatch) -> Float[Tensor, "n dim"]:
        assert self.teacher is not None
        rows, names = [self.teacher.texts[step.texts.cpu()]], self.teacher.label_names
        if names is not None:
            rows.append(names[step.classes.cpu()])
        if self.target_teacher is not None:
            rows.append(self.target_teacher[batch.target])
        return torch.cat(rows)

    def _sum(self, losses: Mapping[str, Tensor], learned: bool = True) -> Tensor:
        """The weighted sum, with the learned factors or without."""
        weighted = {name: self.weights[name] * loss for name, loss in losses.items()}
        for name, log_variance in self.log_variances.items() if learned else ():
            weighted[name] = torch.exp(-log_variance) * weighted[name] + log_variance
        return torch.stack(list(weighted.values())).sum()
