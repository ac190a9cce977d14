"""Meta-steps per second: learn2learn's loop over the tasks, and this package's inner loop on all of them at once.

    OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 python -m benchmarks.maml

The same meta-batches in the same process, in turns: 32 tasks, 5-way 5-shot with 5 queries per class, 384 features, 5
inner steps, second order, one thread.  A meta-step is loss, gradient and a step of plain descent; its time is the
processor's, which on an idle machine is that of the clock, and on a busy one leaves out the neighbours'.  Memory is
what the peak of a process of its own rises by over 20 meta-steps.  Meta-gradients are compared in float64.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.record import record
from fewshot.learners import MAML, Support
from fewshot.learners.maml import learn2learn

TASKS, WAYS, SHOTS, QUERIES, DIM, STEPS, INNER_LR = 32, 5, 5, 5, 384, 5, 0.1
HEADS = {"linear": None, "two layers": 128}
OURS, PEER = "fewshot", "learn2learn"


def meta_batch(dtype: torch.dtype) -> tuple[Support, Tensor, Tensor]:
    """Unit vectors around class means, and the way of each query."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(TASKS, WAYS, 1, DIM, generator=generator)
    texts = means + 2 * torch.randn(TASKS, WAYS, SHOTS + QUERIES, DIM, generator=generator)
    texts = nn.functional.normalize(texts, dim=-1).to(dtype)
    support = Support(texts[:, :, :SHOTS].contiguous(), torch.ones(TASKS, WAYS, SHOTS, dtype=torch.bool))
    targets = torch.arange(WAYS).repeat_interleave(QUERIES).expand(TASKS, -1)
    return support, texts[:, :, SHOTS:].flatten(1, 2), targets


def network(hidden: int | None) -> nn.Sequential:
    """The network as torch makes it, from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [] if hidden is None else [nn.Linear(DIM, hidden), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(hidden or DIM, WAYS))


def ours(hidden: int | None, dtype: torch.dtype) -> tuple[list[Tensor], Callable[[], Tensor]]:
    """Parameters, and the loss of the meta-batch, by this package."""
    learner = MAML(
        DIM,
        inner_lr=INNER_LR,
        inner_steps=STEPS,
        adapts="head" if hidden is None else "network",
        hidden=hidden,
        head_init="learned",
        ways=WAYS,
        scale=1.0,
    ).to(dtype)
    first = list(learner.first.named().values())
    with torch.no_grad():
        for parameter, value in zip(first, network(hidden).parameters(), strict=True):
            parameter.copy_(value)
    learner.log_scale.requires_grad_(False)
    batch, head = meta_batch(dtype), learner.on_embedded()
    return first, lambda: head.loss(replace(batch[0]), *batch[1:])


def theirs(hidden: int | None, dtype: torch.dtype) -> tuple[list[Tensor], Callable[[], Tensor]]:
    """Parameters, and the loss of the meta-batch, as learn2learn's examples write it."""
    maml = learn2learn.algorithms().MAML(network(hidden).to(dtype), lr=INNER_LR)
    support, queries, query_targets = meta_batch(dtype)
    texts, targets = support.features.flatten(1, 2), torch.arange(WAYS).repeat_interleave(SHOTS)

    def loss() -> Tensor:
        total = torch.zeros((), dtype=dtype)
        for task in range(TASKS):
            clone = maml.clone()
            for _ in range(STEPS):
                clone.adapt(nn.functional.cross_entropy(clone(texts[task]), targets))
            total = total + nn.functional.cross_entropy(clone(queries[task]), query_targets[task])
        return total / TASKS

    return list(maml.parameters()), loss


CONTESTANTS = {OURS: ours, PEER: theirs}


def meta_step(contestant: str, hidden: int | None) -> Callable[[], None]:
    """A whole step of the outer loop, ready to be called again and again."""
    parameters, loss = CONTESTANTS[contestant](hidden, torch.float32)

    def step() -> None:
        gradients = torch.autograd.grad(loss(), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= 1e-3 * gradient

    return step


def largest_difference(hidden: int | None) -> float:
    """Between the meta-gradients of both, in float64."""
    gradients = []
    for make in CONTESTANTS.values():
        parameters, loss = make(hidden, torch.float64)
        gradients.append(torch.autograd.grad(loss(), parameters))
    return max(float((a - b).abs().max()) for a, b in zip(*gradients, strict=True))


def rise_of_peak(step: Callable[[], None], steps: int = 20) -> float:
    """Megabytes between the memory before the first step and its peak (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of imports, is forgotten
    before = _status("VmRSS")
    for _ in range(steps):
        step()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def memory(contestant: str, head: str) -> float:
    """Megabytes that the peak of a new process rises by in its meta-steps."""
    command = [sys.executable, "-m", "benchmarks.maml", "--memory", contestant, head]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(rounds: int) -> list[dict[str, Any]]:
    """Both contestants on each head, in turns."""
    rows = []
    for head, hidden in HEADS.items():
        steps = {name: meta_step(name, hidden) for name in CONTESTANTS}
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(rounds + 1):
            for name, step in steps.items():
                started = time.process_time()
                step()
                if turn:  # the first one warms up
                    seconds[name].append(time.process_time() - started)
        median = {name: statistics.median(values) for name, values in seconds.items()}
        difference = f"{largest_difference(hidden):.0e}"
        for name in steps:
            rows.append(
                {
                    "head": head,
                    "engine": name,
                    "meta_steps_per_second": round(1 / median[name], 1),
                    "times_the_peer": round(median[PEER] / median[name], 1),
                    "memory_mb": round(memory(name, head), 1),
                    "largest_difference": difference,
                }
            )
    return rows


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, help="turns of each; the median counts")
    parser.add_argument("--memory", nargs=2, metavar=("ENGINE", "HEAD"), help="print the memory of one, and end")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.memory:
        print(rise_of_peak(meta_step(chosen.memory[0], HEADS[chosen.memory[1]])))
        return
    record("maml", "python -m benchmarks.maml", measure(chosen.rounds), rounds=chosen.rounds)


if __name__ == "__main__":
    main()
