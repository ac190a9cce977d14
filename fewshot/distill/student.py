"""The interface of every kind of student."""

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import Any, ClassVar

from fewshot.distill.lessons import Lessons
from fewshot.encoders import Encoder
from fewshot.ranges import RangedSettings
from fewshot.training.store import Store, TrainingFiles


class Student(RangedSettings, ABC):
    """A kind of small encoder that learns from a teacher; its fields are its settings.

    To add one: a file with a subclass that is a frozen dataclass, and its name in `STUDENTS` of `flow.py`.
    """

    name: ClassVar[str]  # on the command line
    GROUP: ClassVar[str] = "student"

    @abstractmethod
    def learn(self, lessons: Lessons, seed: int = 0, store: Store | None = None) -> Encoder:
        """An encoder with trained weights, whose features replace the teacher's and have their width.

        Its weights are rounded as in its file, such as 16 or 8 bits, so that the measured encoder is the saved one.

        Args:
            lessons: texts and targets.
            seed: of random draws.
            store: for checkpoints, see `files`; None keeps none.

        Raises:
            ConfigError: it cannot learn from this teacher.
        """

    def files(self, lessons: Lessons, seed: int, store: Store | None) -> TrainingFiles | None:
        """The files of the training, named by all that determines the weights."""
        if store is None:
            return None
        determining = {"student": self.determining(), "lessons": lessons.digest, "seed": seed}
        return store.files(f"distill_{self.name}", determining)

    def determining(self) -> dict[str, Any]:
        """The settings that determine the weights, as JSON can hold them."""
        return asdict(self)  # type: ignore[call-overload]
