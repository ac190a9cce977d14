"""The data that a student learns from: texts, with the features and probabilities of its teacher."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fewshot.encoders import Encoder
from fewshot.encoders.texts import checked_texts
from fewshot.errors import TaskError
from fewshot.features import unit_features
from fewshot.learners.learner import Classifier
from fewshot.randomness import child_generator

FEWEST = 20  # texts to learn from, two of them held out


@dataclass(frozen=True)
class Lessons:
    """Distinct texts with the features of a teacher; the last ones are held out.

    Args:
        encoder: of the teacher.
        texts: in random order.
        features: unit features by the teacher.
        n_held: number of the last texts, which are never trained on and stop the training early.
        classifier: of the teacher, on such features; None: the teacher is an encoder.
        temperature: divides the classifier's logits.
    """

    encoder: Encoder
    texts: tuple[str, ...]
    features: Float[Tensor, "n_texts dim"] = field(repr=False)
    n_held: int
    classifier: Classifier | None = None
    temperature: float = 1.0

    @classmethod
    def of(
        cls,
        encoder: Encoder,
        texts: Iterable[str],
        classifier: Classifier | None = None,
        temperature: float = 1.0,
        held_out: float = 0.1,
        seed: int = 0,
    ) -> "Lessons":
        """Encode texts by the teacher, each distinct one once.

        Args:
            encoder: of the teacher.
            texts: without labels; at least 20 distinct ones.
            classifier: see above.
            temperature: see above.
            held_out: share of the texts.
            seed: of the order.

        Raises:
            TaskError: too few texts.
        """
        distinct = list(dict.fromkeys(checked_texts(texts)))
        if len(distinct) < FEWEST:
            raise TaskError(
                f"Got {len(distinct)} distinct texts to learn from, expected {FEWEST} or more. Give more texts; they "
                f"need no labels."
            )
        order = torch.randperm(len(distinct), generator=child_generator(seed, "distill/held out")).tolist()
        ordered = tuple(distinct[index] for index in order)
        n_held = max(1, round(held_out * len(ordered)))
        return cls(encoder, ordered, unit_features(encoder, ordered), n_held, classifier, temperature)

    @property
    def n_trained(self) -> int:
        """Number of the texts that a student trains on; they come first."""
        return len(self.texts) - self.n_held

    @property
    def held(self) -> Int[Tensor, " n_held"]:
        """Indices of the texts that are held out."""
        return torch.arange(self.n_trained, len(self.texts))

    @cached_property
    def log_probabilities(self) -> Float[Tensor, "n_texts n_classes"] | None:
        """Log-probabilities of each text by the teacher's classifier, at its temperature."""
        if self.classifier is None:
            return None
        with torch.no_grad():
            return torch.cat([self.scores(part) for part in self.features.split(1024)])

    def scores(self, features: Float[Tensor, "n dim"]) -> Float[Tensor, "n n_classes"]:
        """Log-probabilities by the teacher's classifier for any unit features, differentiable."""
        assert self.classifier is not None
        return (self.classifier.logits(features[None])[0] / self.temperature).log_softmax(-1)

    @cached_property
    def digest(self) -> str:
        """32 hex digits of texts and targets, for the name of a checkpoint."""
        total = hashlib.blake2b(digest_size=16)
        for text in self.texts:
            total.update(text.encode("utf-8", "surrogatepass") + b"\0")
        tensors = [self.features] if self.log_probabilities is None else [self.features, self.log_probabilities]
        for tensor in tensors:
            total.update(tensor.contiguous().view(torch.uint8).numpy().data)
        total.update(f"{self.n_held} {self.temperature!r}".encode())
        return total.hexdigest()
