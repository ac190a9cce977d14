"""Students that are transformers: some of the teacher's own layers, or a small DeepSeek-V3 model.

All weights of their layers are trained, see `imitation`; word embeddings stay the published ones, so that a folder
holds the layers alone, in 8 bits. If the teacher's features include a shallow layer, the student's include the layer
at the same relative height.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fewshot.distill.imitation import ImitationSettings, imitate
from fewshot.distill.lessons import Lessons
from fewshot.distill.student import Student
from fewshot.encoders import Encoder, Full, TrainableEncoder, TransformerEncoder
from fewshot.encoders.layers import find_stack
from fewshot.encoders.pooling import Shallow
from fewshot.encoders.source import DEEPSEEK_SMALL
from fewshot.errors import ConfigError
from fewshot.randomness import child_generator
from fewshot.ranges import POSITIVE, RISING, Range, or_null
from fewshot.training.store import Store


@dataclass(frozen=True, kw_only=True)
class TransformerStudent(Student):
    """A published transformer whose layers are trained.

    Args:
        epochs: how often each text is seen, if `training.steps` allows it.
        learning_rate: AdamW's.
        training: of the steps.
    """

    RANGES: ClassVar[dict[str, Range]] = dict.fromkeys(("epochs", "learning_rate"), POSITIVE)

    epochs: float = 20.0
    learning_rate: float = 3e-4
    training: ImitationSettings = field(
        default_factory=lambda: ImitationSettings(
            steps=1000, evaluate_every=50, patience=6, batch=64, probability_weight=3.0, precision="bfloat16"
        )
    )

    @abstractmethod
    def start(self, teacher: Encoder) -> Encoder:
        """The published encoder that is trained, with features as wide as those of a teacher, or ConfigError."""

    def learn(self, lessons: Lessons, seed: int = 0, store: Store | None = None) -> Encoder:
        """See `Student.learn`; its weights are stored in 8 bits."""
        start = self.start(lessons.encoder)
        trainable = TrainableEncoder(
            start, Full(encoder_dropout=0.0), child_generator(seed, "distill"), {"task": "texts without labels"}
        )
        steps = ceil(self.epochs * lessons.n_trained / self.training.batch)
        training = replace(self.training, steps=min(self.training.steps, steps))
        imitate(
            _Reader(trainable, lessons.texts),
            lessons,
            training,
            trainable.parameter_groups(self.learning_rate, weight_decay=0.01),
            seed,
            self.files(lessons, seed, store),
        )
        return start.with_trained(trainable.trained_weights().rounded(torch.int8))


@dataclass(frozen=True, kw_only=True)
class LayersStudent(TransformerStudent):
    """Some of the layers of the teacher's own published model.

    Args:
        layers: their numbers, from 0; None: the first and the last, which come nearest to all six of MiniLM before any
            training, see `benchmarks/layers_student.py`.
    """

    name: ClassVar[str] = "layers"
    RANGES: ClassVar[dict[str, Range]] = TransformerStudent.RANGES | {"layers": or_null(RISING)}

    layers: Sequence[int] | None = None

    def start(self, teacher: Encoder) -> Encoder:
        """The teacher's published model with fewer layers; ConfigError if it has no more than these."""
        n_layers = len(find_stack(teacher.backbone).layers)
        layers = (0, n_layers - 1) if self.layers is None else tuple(self.layers)
        if teacher.layers is not None or not len(layers) < n_layers or layers[-1] >= n_layers:
            has = f"{n_layers} layers" if teacher.layers is None else f"the layers {list(teacher.layers)} alone"
            raise ConfigError(
                f"Got student=layers with layers {list(layers)} for a teacher whose encoder {teacher.model!r} has "
                f"{has}. Expected some of a published transformer's layers. Choose others, or another student."
            )
        shallow = _shallow_layer(teacher, n_layers, len(layers))
        return teacher.replace(weights=None, layers=list(layers), shallow_layer=shallow)


@dataclass(frozen=True, kw_only=True)
class DeepSeekStudent(TransformerStudent):
    """The small DeepSeek-V3 encoder that comes with the package, which MiniLM taught."""

    name: ClassVar[str] = "deepseek"

    learning_rate: float = 1e-4

    def start(self, teacher: Encoder) -> Encoder:
        """The small encoder; ConfigError for a teacher whose features are of another width."""
        encoder: Encoder = TransformerEncoder(
            DEEPSEEK_SMALL,
            attention="bidirectional",
            device=teacher.device,
            max_length=teacher.max_length,
            tokens_per_batch=2048,
            cache=teacher.cache,
        )
        n_layers = len(find_stack(teacher.backbone).layers)
        shallow = _shallow_layer(teacher, n_layers, len(find_stack(encoder.backbone).layers)) if n_layers else None
        encoder = encoder.replace(shallow_layer=shallow, shallow_weight=teacher.shallow_weight)
        expected, given = (each.compute(["."]).shape[1] for each in (encoder, teacher))
        if expected != given:
            raise ConfigError(
                f"Got student=deepseek for a teacher whose encoder {teacher.model!r} has {given} features, expected "
                f"{expected} as with MiniLM. Choose another student, such as layers or static."
            )
        return encoder


class _Reader(nn.Module):
    """Differentiable features of some texts by their indices."""

    def __init__(self, encoder: TrainableEncoder, texts: Sequence[str]):
        super().__init__()
        self.encoder, self._texts = encoder, texts

    def forward(self, indices: Int[Tensor, " batch"]) -> Float[Tensor, "batch dim"]:
        """See `Imitation`."""
        return self.encoder.embed_texts([self._texts[index] for index in indices.tolist()])


def _shallow_layer(teacher: Encoder, n_teacher: int, n_student: int) -> int | None:
    """The layer of the student at the relative height of the teacher's shallow layer."""
    shallow = Shallow.of(teacher.shallow_layer, teacher.shallow_weight, teacher.model, teacher.layers)
    return None if shallow is None else ceil(shallow.layer % (n_teacher + 1) * n_student / n_teacher)
