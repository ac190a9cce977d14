"""What is trained, and what it costs: seconds of a training step for each way to train an encoder.

    OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 python -m benchmarks.encoder_training [--set OVERRIDE ...]

The same episodes (16-way, 2 shots and 2 queries, medical terms with label names), the same process; the contestants
take turns.  A step is forward, backward and optimiser; evaluations on valid classes are the same for all and left out.
"""

import argparse
import shlex
import statistics
import sys
from typing import Any

import torch

from benchmarks.encoding import take_turns
from benchmarks.experiments import default_encoder, load
from benchmarks.record import record
from fewshot.encoders import Encoder, Full, LoRA, Trainable, TrainableEncoder
from fewshot.episodes import sample_episodes
from fewshot.learners import Prototypical
from fewshot.randomness import child_generator
from fewshot.tasks import Task
from fewshot.training import EncoderTrainer
from fewshot.training.encoder_objective import EncoderBatch, EncoderObjective, StepTexts

ROUNDS, STEPS = 5, 3
CONTESTANTS: dict[str, Trainable] = {
    "full": Full(),
    "full, layered": Full(layers="layered"),
    "LoRA": LoRA(),
    "LoRA, layered": LoRA(layers="layered"),
}


class Stepper:
    """Takes training steps on one encoder, each time on the same episodes."""

    def __init__(self, encoder: Encoder, trainable: Trainable, task: Task):
        self.trainable = TrainableEncoder(encoder, trainable)
        learner = Prototypical(self.trainable.compute(["."]).shape[1])
        names = task.label_texts()
        self.objective = EncoderObjective(self.trainable, learner, task.texts, names, EncoderTrainer())
        self.optimizer = torch.optim.AdamW(self.trainable.parameter_groups(1e-5))
        generator = child_generator(0, "benchmarks/encoder_training")
        pools = task.pools("train")
        self.batches = [EncoderBatch(sample_episodes(pools, 1, 16, 2, 2, generator)) for _ in range(STEPS)]
        self.texts = sum(len(StepTexts.of(batch.episodes, torch.device("cpu")).texts) + 16 for batch in self.batches)

    def __call__(self) -> None:
        """All steps, in bfloat16 autocast as the trainer takes them."""
        self.objective.train()
        for batch in self.batches:
            with torch.autocast(next(self.trainable.parameters()).device.type, torch.bfloat16):
                loss = self.objective(batch)["loss"]
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()


def row(name: str, stepper: Stepper, seconds: list[float], full: float) -> dict[str, Any]:
    """One line of the table: medians over the rounds."""
    median, parameters = statistics.median(seconds), stepper.trainable.trainable_share
    return {
        "trained": name,
        "parameters": f"{parameters.trained:,}",
        "share": f"{100 * parameters.share:.1f} %",
        "texts_per_second": round(stepper.texts / median),
        "time_saved": f"{100 * (1 - median / full):.0f} %",
    }


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", nargs="+", default=[], help="overrides, such as encoder=sentence_transformer")
    parser.add_argument("--name", default="encoder_training", help="name of the file in benchmarks/results")
    chosen = parser.parse_args()
    task = load("medical_terms")
    encoder = default_encoder(*chosen.set)
    steppers = {name: Stepper(encoder, trainable, task) for name, trainable in CONTESTANTS.items()}
    for stepper in steppers.values():
        stepper()
    seconds = take_turns(steppers, ROUNDS)
    full = statistics.median(seconds["full"])
    rows = [row(name, steppers[name], times, full) for name, times in seconds.items()]
    command = shlex.join(["python", "-m", "benchmarks.encoder_training", *sys.argv[1:]])
    record(chosen.name, command, rows, encoder=encoder.model, threads=torch.get_num_threads(), seconds=seconds)


if __name__ == "__main__":
    main()
