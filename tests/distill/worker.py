"""A small training of a static student for tests that kill it: `python -m tests.distill.worker FOLDER [unhurried]`.

It writes the digest of the trained weights to FOLDER/digest.
"""

import sys
import time
from pathlib import Path

import torch

from fewshot.distill import ImitationSettings, Lessons, StaticStudent
from fewshot.training import Store
from tests.fakes import FakeEncoder

STEPS = 100
UNHURRIED = 0.05  # seconds in a step


class Announced(ImitationSettings):
    """Settings that say when a training begins, and may take their time."""

    def draw(self, lessons: Lessons, generator: torch.Generator) -> torch.Tensor:
        print("training", flush=True)
        time.sleep(UNHURRIED if "unhurried" in sys.argv else 0.0)
        return super().draw(lessons, generator)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    texts = [f"{one} {other}" for one in ("lost", "card", "stolen", "new") for other in "abcdefghijkl"]
    lessons = Lessons.of(FakeEncoder(), texts)
    training = Announced(steps=STEPS, evaluate_every=1, patience=STEPS, batch=8, checkpoint_seconds=0.0)
    student = StaticStudent(epochs=1000.0, training=training)
    encoder = student.learn(lessons, 0, Store(checkpoints=folder / "checkpoints", resume=True))
    assert encoder.trained is not None
    (folder / "digest").write_text(encoder.trained.digest)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
