"""A small training for tests that start processes: `python -m tests.training.worker FOLDER [resume] [unhurried] ...`.

Each process writes what it drew and what it ended with to FOLDER/<process>.json.
"""

import hashlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from fewshot.processes import disconnect, leave, process_index
from fewshot.training import Store
from tests.training.dropout import SETTINGS, Regression, draw, fit

STEPS = 200
UNHURRIED = 0.03  # seconds in a step, so that a fast machine is not through before it is killed


def digest(*tensors: torch.Tensor) -> str:
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()


def main(folder: Path, arguments: list[str]) -> None:
    torch.set_num_threads(1)
    stop = [int(argument.removeprefix("stop=")) for argument in arguments if argument.startswith("stop=")]
    steps = 12 if "short" in arguments else STEPS
    drawn = []

    def listen(step: int, generator: torch.Generator) -> torch.Tensor:
        if step in stop:
            disconnect()
            leave(0)
        batch = draw(step, generator)
        drawn.append(digest(batch))
        if step == 1 or len(drawn) == 1:
            print("training", flush=True)
        if "unhurried" in arguments:
            time.sleep(UNHURRIED)
        return batch

    objective = Regression()
    if "plain" in arguments:
        objective.dropout.p = 0.0
    files = Store(checkpoints=folder / "checkpoints", resume="resume" in arguments).files("worker", {"steps": steps})
    settings = replace(SETTINGS, steps=steps, evaluate_every=1, patience=10**6)
    _, history = fit(settings, files, listen, objective=objective)
    weights = {name: tensor.tolist() for name, tensor in objective.state_dict().items()}
    ended = {"weights": weights, "drawn": drawn, "losses": history.losses, "best_step": history.best_step}
    ended["scores"] = list(history.valid_accuracies.values())
    (folder / f"{process_index()}.json").write_text(json.dumps(ended), encoding="utf-8")
    disconnect()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
    leave(0)
