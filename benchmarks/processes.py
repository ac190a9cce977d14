"""Meta-training of an encoder over processes of one machine: steps a second, and the losses of the same batches.

    python -m benchmarks.processes

Each run takes the same four episodes a step, which its processes share: 1 process accumulates four, 2 two each, and 4
one each. The encoder is deepseek_small, which has no dropout, all of whose weights are trained in float32; one thread a
process.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import record

COMMAND = "python -m benchmarks.processes"
COUNTS = (1, 2, 4)
EPISODES = 4  # a step
STEPS = 8
DIM = 384  # of deepseek_small
WARM = 2  # steps before the clock starts


def train(output: Path) -> None:
    """Train in this process, one of several; the first writes losses and times of the steps."""
    import torch

    from fewshot.encoders import Full, TrainableEncoder, TransformerEncoder
    from fewshot.episodes.sampler import sample_episodes
    from fewshot.learners import Prototypical
    from fewshot.processes import disconnect, is_main, process_count, process_index
    from fewshot.randomness import child_generator
    from fewshot.tasks import load_bundled
    from fewshot.training.encoder_objective import EncoderBatch, EncoderObjective
    from fewshot.training.encoder_trainer import EncoderTrainer, loss_learner
    from fewshot.training.loop import run_loop

    own = EPISODES // process_count()
    task = load_bundled("medical_terms")
    encoder = TransformerEncoder("bundled/deepseek-small", attention="bidirectional", device="cpu", dtype="float32")
    copy = TrainableEncoder(encoder, Full(), child_generator(0, "encoder/lora"), {})
    settings = EncoderTrainer(steps=STEPS, accumulate=own, precision="float32", checkpoint_seconds=None)
    train_pools = task.pools("train")
    learner = loss_learner(Prototypical(DIM), torch.zeros(len(train_pools.classes), DIM), settings.scale)
    objective = EncoderObjective(copy, learner, task.texts, None, settings)
    times: list[float] = []
    drawn = 0

    def draw(step: int, generator: object) -> EncoderBatch:
        nonlocal drawn
        number = (step - 1) * EPISODES + process_index() * own + drawn % own
        if drawn % own == 0:
            times.append(time.perf_counter())
        drawn += 1
        return EncoderBatch(sample_episodes(train_pools, 1, 10, 2, 3, child_generator(0, f"benchmark/{number}")))

    groups = copy.parameter_groups(1e-4, settings.layer_decay, settings.weight_decay)
    history = run_loop(settings, objective, groups, draw, None, seed=0, stop_at=STEPS)
    if is_main():
        seconds = (times[-1] - times[WARM]) / (len(times) - 1 - WARM)
        output.write_text(json.dumps({"losses": history.losses, "seconds": seconds}), encoding="utf-8")
    disconnect()


def launch(processes: int, output: Path) -> dict[str, Any]:
    """Run `train` under torchrun."""
    typed = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--standalone"]
    typed += ["-m", "benchmarks.processes", str(output)]
    subprocess.run(typed, env=os.environ | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}, check=True)
    content: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    if len(sys.argv) > 1:
        train(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            found = {count: launch(count, Path(name) / f"{count}.json") for count in COUNTS}
        first = found[COUNTS[0]]["losses"]
        rows = []
        for count, one in found.items():
            own = one["losses"]
            rows.append(
                {
                    "processes": count,
                    "steps/s": f"{1 / one['seconds']:.3f}",
                    "episodes/s": f"{EPISODES / one['seconds']:.2f}",
                    "first loss": f"{own[0]:.6f}",
                    "last loss": f"{own[-1]:.6f}",
                    "largest difference": f"{max(abs(a - b) for a, b in zip(own, first, strict=True)):.1e}",
                }
            )
        losses = {count: one["losses"] for count, one in found.items()}
        record("processes", COMMAND, rows, steps=STEPS, episodes_a_step=EPISODES, losses=losses)
