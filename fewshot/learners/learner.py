"""What every learner promises: `adapt` to the support of a batch of episodes, then `logits` for queries."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fewshot.ranges import POSITIVE, Range, check_ranges, outside
from fewshot.tasks.task import class_members


@dataclass(frozen=True)
class Support:
    """The labelled part of a batch of episodes.

    Args:
        features: features of the support texts; what is given where the mask is false becomes zero.
        mask: true where `features` holds a text.
        label_names: features of the label names, or None where they are not used.
    """

    features: Float[Tensor, "episodes n_way k_shot dim"]
    mask: Bool[Tensor, "episodes n_way k_shot"]
    label_names: Float[Tensor, "episodes n_way dim"] | None = None

    def __post_init__(self) -> None:
        # A product with zero does not silence a NaN, so padding is cleared before any learner multiplies it.
        if not bool(self.mask.all()):
            object.__setattr__(self, "features", self.features.masked_fill(~self.mask[..., None], 0))

    def with_names_as_shots(self) -> "Support":
        """The label name as one more example of its class, in the last place of `k_shot`."""
        if self.label_names is None:
            return self
        here = self.mask.new_ones(*self.mask.shape[:2], 1)
        return Support(
            features=torch.cat([self.features, self.label_names[:, :, None]], dim=2),
            mask=torch.cat([self.mask, here], dim=2),
        )

    def shares(self) -> Float[Tensor, "episodes n_way k_shot"]:
        """What each text counts in the mean of its class; they add up to 1."""
        return (self.mask / self.mask.sum(-1, keepdim=True)).to(self.features.dtype)

    def mean(self) -> Float[Tensor, "episodes n_way dim"]:
        """Mean of the support features of each class."""
        return torch.einsum("ewk,ewkd->ewd", self.shares(), self.features)

    def flat(
        self,
    ) -> tuple[Float[Tensor, "episodes n dim"], Float[Tensor, "episodes n n_way"], Bool[Tensor, "episodes n"]]:
        """All examples in one row, with one-hot targets and mask; rows behind a false mask are zero in all."""
        mask = self.mask.flatten(1)
        n_way, k_shot = self.mask.shape[1:]
        targets = torch.eye(n_way, device=mask.device).repeat_interleave(k_shot, 0) * mask[..., None]
        return self.features.flatten(1, 2), targets, mask


class Classifier(ABC):
    """A learner adapted to the support of a batch of episodes; immutable.

    It shares the learner's parameters, so that the loss reaches them: train the learner further, and adapt again.
    """

    @abstractmethod
    def logits(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """Unnormalised log-probabilities of each way for each query."""

    def logits_at_once(self, query: Float[Tensor, "episodes n_query dim"]) -> Float[Tensor, "episodes n_query n_way"]:
        """The same for few queries, by operations that do not depend on their number, as a traced graph needs."""
        return self.logits(query)

    @abstractmethod
    def metric(self, features: Float[Tensor, "episodes n dim"]) -> Float[Tensor, "episodes n metric_dim"]:
        """Map features into the space whose Euclidean distances the classifier goes by."""


class Learner(nn.Module, ABC):
    """One published algorithm.

    Parameters that require gradients are meta-trained.

    Attributes:
        temperature: divides the logits for calibrated probabilities; fitted on meta-valid classes.
        arguments: what the constructor was called with, kept so that the learner can be saved as JSON.
        meta_lr: rate of the outer loop for weight matrices; None leaves it to `training.learning_rate`.
        ways: the one number of classes that it can tell apart; None is any number.
        RANGES: name of an argument → its range.
        by_prototypes: whether a class is its prototype, from which a tuned head can start.
        trained_on: portable fingerprint of the encoder whose features a loaded learner was trained on; None: unknown.
        differentiable: whether logits follow support and query features smoothly, so that an encoder can be trained.
    """

    temperature: Tensor
    title: ClassVar[str]
    RANGES: ClassVar[dict[str, Range]] = {"dim": POSITIVE}
    meta_lr: float | None = None
    ways: int | None = None
    by_prototypes: bool = False
    trained_on: str | None = None
    differentiable: bool = True

    def __init__(self, dim: int, **arguments: object):
        super().__init__()
        self.arguments = {"dim": dim, **arguments}
        check_ranges("learner", type(self), self.arguments, outside(self.RANGES, self.arguments))
        self.register_buffer("temperature", torch.ones(()))

    @property
    def is_meta_trained(self) -> bool:
        """Whether there is anything to meta-train."""
        return any(parameter.requires_grad for parameter in self.parameters())

    def fine_tuned(self) -> list[nn.Parameter]:
        """Parameters that an inner loop fine-tunes: no decay pulls them to zero; by default none."""
        return []

    @abstractmethod
    def adapt(self, support: Support) -> Classifier:
        """Fit the support sets of a batch of episodes; the learner itself does not change."""

    def adapt_rows(
        self,
        features: Float[Tensor, "n_texts dim"],
        classes: Int[Tensor, " n_texts"],
        n_way: int,
        label_names: Float[Tensor, "n_way dim"] | None = None,
    ) -> Classifier:
        """Fit one support whose texts stand one below the other.

        Args:
            features: of the support texts.
            classes: the class of each.
            n_way: number of classes.
            label_names: features of the label names, or None where they are not used.

        Returns:
            What `adapt` gives for these texts as an episode, a batch of one.
        """
        places = nn.utils.rnn.pad_sequence(list(class_members(classes, n_way)), batch_first=True, padding_value=-1)[
            None
        ]
        names = None if label_names is None else label_names[None]
        return self.adapt(Support(features[places.clamp(min=0)], places >= 0, names))

    def prepare(self, class_means: Float[Tensor, "n_classes dim"]) -> None:
        """Take in the means of the train classes before the first step of meta-training; by default nothing."""

    def embed(self, features: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """The part of the learner that reads each text by itself, once for all episodes; by default the identity.

        `on_embedded().adapt` on embedded features equals `adapt` on the features themselves.
        """
        return features

    def on_embedded(self) -> "Learner":
        """The rest of the learner, for features that went through `embed`."""
        return self

    def loss(
        self, support: Support, query: Float[Tensor, "episodes n_query dim"], targets: Int[Tensor, "episodes n_query"]
    ) -> Float[Tensor, ""]:
        """Meta-training loss of a batch of episodes, in nats: cross-entropy of the queries with their ways."""
        logits = self.adapt(support).logits(query)
        return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
