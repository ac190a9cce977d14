"""The loss of an encoder in one step, episodes and weighted terms beside them, and its evaluation between steps."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from fewshot.encoders import TrainableEncoder
from fewshot.episodes.batch import EpisodeBatch
from fewshot.errors import ConfigError
from fewshot.evaluation.evaluate import mean_accuracy
from fewshot.features import TaskFeatures
from fewshot.learners.learner import Learner
from fewshot.processes import as_main
from fewshot.tasks import Task
from fewshot.training.augmented import AugmentedTexts
from fewshot.training.perturbation import perturbed, recorded, word_layer
from fewshot.training.terms import alignment, augmentation, consistency, supervised_contrastive

TERMS = ("task", "contrastive", "consistency", "alignment", "augmentation", "adversarial")
_NONE = torch.empty(0, 2, dtype=torch.long)


@dataclass(frozen=True)
class EncoderBatch:
    """The texts of a step.

    Args:
        episodes: of the train classes.
        target: which of the target domain's texts.
        unlabelled: texts with some of their variants, as `AugmentedTexts.draw` gives them.
        positives: variants of texts of the episodes, as `AugmentedTexts.draw_of` gives them.
    """

    episodes: EpisodeBatch
    target: Int[Tensor, " n_target"] = _NONE[:, 0]
    unlabelled: Int[Tensor, "n_unlabelled n_columns"] = _NONE
    positives: Int[Tensor, "n_positives 2"] = _NONE


@dataclass(frozen=True)
class StepTexts:
    """The distinct texts and classes of a batch, the class of each text, and the batch as places in both."""

    episodes: EpisodeBatch
    texts: Int[Tensor, " n_texts"]
    classes: Int[Tensor, " n_classes"]
    labels: Int[Tensor, " n_texts"]

    @classmethod
    def of(cls, batch: EpisodeBatch, device: torch.device) -> "StepTexts":
        """Number the texts and classes of a batch, on a device; all places of its support hold a text."""
        batch = EpisodeBatch(*(getattr(batch, part.name).to(device) for part in fields(batch)))
        both = torch.cat([batch.support, batch.query], dim=2)
        texts, places = both.unique(return_inverse=True)
        classes, ways = batch.classes.unique(return_inverse=True)
        labels = torch.empty_like(texts).index_put_((places,), ways[..., None].expand_as(places))
        support, query = places.split([batch.k_shot, batch.n_query], dim=2)
        return cls(replace(batch, classes=ways, support=support, query=query), texts, classes, labels)


class EncoderObjective(nn.Module):
    """Embeds the texts of a batch and adds up the weighted losses.

        L = w_task L_task + w_contrastive L_contrastive + w_consistency L_consistency + w_alignment L_alignment
            + w_augmentation L_augmentation + w_adversarial L_adversarial

    L_adversarial is the weighted sum of all the others where word embeddings are perturbed to make it larger.

    With learned weights each w_i multiplies exp(-s_i), and s_i is added.

    Batches index `texts`, all of the task. Terms of weight 0 are not computed. The teacher's features are by the
    published weights. The temperature is that of the contrastive term and of augmentation.

    Source: Kendall, Gal and Cipolla 2018, "Multi-Task Learning Using Uncertainty",
        https://arxiv.org/abs/1705.07115, equation 10, for the learned weights.
    """

    def __init__(
        self,
        encoder: TrainableEncoder,
        learner: Learner,
        texts: Sequence[str],
        names: Sequence[str] | None,
        *,
        weights: Mapping[str, float],
        teacher: TaskFeatures | None = None,
        target: Sequence[str] = (),
        augmented: AugmentedTexts | None = None,
        adversarial_size: float = 0.02,
        temperature: float = 0.1,
        tokens_per_pass: int = 1024,
        learned_weights: bool = False,
    ):
        super().__init__()
        self.encoder, self.learner = encoder, learner
        self.texts, self.names, self.target, self.teacher = texts, names, target, teacher
        self.augmented, self.adversarial_size = augmented, adversarial_size
        self.weights = {name: weight for name, weight in weights.items() if weight}
        self.temperature, self.tokens_per_pass = temperature, tokens_per_pass
        self.log_variances = nn.ParameterDict()
        if learned_weights:
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
        with perturbed(layer, seen.perturbations(self._sum(losses, learned=False), self.adversarial_size)):
            losses["adversarial"] = self._sum(self._losses(step, batch), learned=False)
        return {"loss": self._sum(losses), **losses}

    def _losses(self, step: StepTexts, batch: EncoderBatch) -> dict[str, Tensor]:
        """Every term but the adversarial one."""
        names = [] if self.names is None else [self.names[index] for index in step.classes.tolist()]
        groups = [
            [*(self.texts[index] for index in step.texts.tolist()), *names],
            [self.target[index] for index in batch.target.tolist()],
            *self._augmented_texts(batch),
        ]
        texts = [text for group in groups for text in group]
        embeddings = normalize(self.encoder.embed_texts(texts, self.tokens_per_pass), dim=-1)
        parts = _Embedded(*embeddings.split([len(group) for group in groups]))
        return {name: self._term(name, step, batch, parts) for name in self.weights if name != "adversarial"}

    def _augmented_texts(self, batch: EncoderBatch) -> tuple[list[str], list[str], list[str]]:
        """Unlabelled texts, their variants, and variants of texts of the episodes."""
        if self.augmented is None:
            return [], [], []
        own = [self.texts[index] for index in self.augmented.texts[batch.unlabelled[:, 0]].tolist()]
        return own, self.augmented.variants_at(batch.unlabelled), self.augmented.variants_at(batch.positives)

    def _term(self, name: str, step: StepTexts, batch: EncoderBatch, parts: "_Embedded") -> Tensor:
        ours = parts.ours
        # Cosines over a low temperature: with the eight bits of bfloat16 the gradient of consistency is 7 % off.
        with torch.autocast(ours.device.type, enabled=False):
            if name == "contrastive":
                both = torch.cat([ours, parts.positives]) if len(parts.positives) else ours
                return supervised_contrastive(both, self._labels(step, batch), self.temperature)
            if name == "consistency":
                return consistency(ours, self._taught(step).to(ours.device))
            if name == "alignment":
                return alignment(ours, parts.target)
            if name == "augmentation":
                variants = parts.variants.view(len(parts.unlabelled), -1, ours.shape[1])
                return augmentation(parts.unlabelled, variants, self.temperature)
        texts, names = ours.tensor_split([len(step.texts)])
        features, episodes = TaskFeatures(texts, names if len(names) else None), step.episodes
        targets = episodes.targets.to(ours.device)
        return self.learner.loss(features.support(episodes), features.query(episodes), targets)

    def _labels(self, step: StepTexts, batch: EncoderBatch) -> Int[Tensor, " n"]:
        """Of texts, names and positives."""
        labels = [step.labels]
        if self.names is not None:
            labels.append(torch.arange(len(step.classes), device=step.labels.device))
        if len(batch.positives):
            assert self.augmented is not None
            of_texts = self.augmented.texts[batch.positives[:, 0]].to(step.texts.device)
            labels.append(step.labels[torch.searchsorted(step.texts, of_texts)])
        return torch.cat(labels)

    def _taught(self, step: StepTexts) -> Float[Tensor, "n dim"]:
        assert self.teacher is not None
        taught = self.teacher.texts[step.texts.cpu()]
        names = self.teacher.label_names
        return taught if names is None else torch.cat([taught, names[step.classes.cpu()]])

    def _sum(self, losses: Mapping[str, Tensor], learned: bool = True) -> Tensor:
        """Weighted, with the learned factors or without."""
        weighted = {name: self.weights[name] * loss for name, loss in losses.items()}
        for name, log_variance in self.log_variances.items() if learned else ():
            weighted[name] = torch.exp(-log_variance) * weighted[name] + log_variance
        return torch.stack(list(weighted.values())).sum()


def loss_learner(learner: Learner, class_means: Float[Tensor, "n_classes dim"], scale: float) -> Learner:
    """Prepare a learner in place: its scalars are trained, a `log_scale` from `scale` on, and its matrices are not."""
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


@dataclass(frozen=True)
class _Embedded:
    """Unit vectors of the texts of a step: of its episodes and their classes, of the target domain, of
    unlabelled texts and their variants, and of variants of texts of the episodes."""

    ours: Float[Tensor, "n dim"]
    target: Float[Tensor, "n_target dim"]
    unlabelled: Float[Tensor, "n_unlabelled dim"]
    variants: Float[Tensor, "n_variants dim"]
    positives: Float[Tensor, "n_positives dim"]


@dataclass(frozen=True)
class EncoderEvaluation:
    """Accuracy of encoder and learner as they are, on the valid episodes; only texts of these are embedded."""

    trainable: TrainableEncoder
    learner: Learner
    task: Task
    names: list[str] | None
    valid: Sequence[EpisodeBatch]

    @cached_property
    def used(self) -> Int[Tensor, " n_used"]:
        """Indices of the texts of the episodes."""
        return torch.cat([part.flatten() for batch in self.valid for part in (batch.support, batch.query)]).unique()

    def __call__(self) -> float:
        """Mean over the batches of episodes."""
        used = [self.task.texts[index] for index in self.used.tolist()]
        features = normalize(self.trainable.compute([*used, *(self.names or [])]), dim=-1)
        rows, names = features.tensor_split([len(used)])
        texts = torch.zeros(len(self.task.texts), features.shape[1]).index_copy_(0, self.used, rows)
        learner = copy.deepcopy(self.learner).cpu()
        return mean_accuracy(learner, TaskFeatures(texts, None if self.names is None else names), self.valid)

    def interpolate(self, shares: Sequence[float]) -> float:
        """Take the best of some shares of the way from the published to the trained weights, and return it."""
        scores = {}
        for share in shares:
            self.trainable.interpolate(share)
            scores[share] = self()
        best = as_main(max(scores, key=lambda share: scores[share]))
        self.trainable.interpolate(best)
        return best
