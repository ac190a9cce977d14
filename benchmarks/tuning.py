"""`hydra/sweeper=optuna` on medical_terms: 20 trials by valid accuracy, beside the defaults.

python -m benchmarks.tuning
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import record
from fewshot.run import main

COMMAND = "python -m benchmarks.tuning"
TRIALS = 20
FIXED = ("+task=medical_terms", "shots=1", "trainable=none", "baselines=[]", "training.steps=100")
SEARCHED = (
    "training.learning_rate=tag(log,interval(3e-5,1e-2))",
    "training.scalar_learning_rate=tag(log,interval(1e-3,1e-1))",
    "training.weight_decay=interval(0,2)",
    "training.ways=choice(5,10,25,50)",
)


def run(output: Path, *typed: str) -> None:
    """One call of the command line."""
    status = main([*FIXED, f"output={output}", *typed])
    if status:
        raise SystemExit(status)


def trial(number: int, job: dict[str, Any], results: dict[str, Any] | None) -> dict[str, Any]:
    """The row of a job."""
    names = {one.partition("=")[0] for one in SEARCHED}
    typed = dict(one.lstrip("+").partition("=")[::2] for one in job["overrides"])
    row: dict[str, Any] = {"trial": number}
    row |= {name.removeprefix("training."): f"{float(typed[name]):.3g}" for name in sorted(names)}
    row["status"] = job["status"]
    row["valid %"] = "" if results is None else f"{100 * results['valid_accuracy']:.1f}"
    row["test %"] = "" if results is None else f"{100 * results['accuracy']['mean']:.1f}"
    return row


def rows_of(sweep: Path) -> list[dict[str, Any]]:
    """The rows of a sweep's folder."""
    found = []
    for number, folder in enumerate(sorted((path.parent for path in sweep.glob("*/job.json")), key=_number)):
        results = folder / "results.json"
        content = json.loads(results.read_text()) if results.is_file() else None
        found.append(trial(number, json.loads((folder / "job.json").read_text()), content))
    return found


def _number(folder: Path) -> int:
    return int(folder.name)


def _single(folder: Path) -> dict[str, Any]:
    (path,) = folder.rglob("results.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The trial with the best valid accuracy."""
    return max((row for row in rows if row["valid %"]), key=lambda row: float(row["valid %"]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        output = Path(name)
        run(output / "defaults", "metric=valid_accuracy")
        default = _single(output / "defaults")
        sweeper = ("hydra/sweeper=optuna", f"hydra.sweeper.n_trials={TRIALS}", "hydra.sweeper.seed=0")
        run(output / "tuned", "-m", *sweeper, *SEARCHED)
        (sweep,) = (output / "tuned" / "sweeps").iterdir()
        rows = rows_of(sweep)
        record(
            "tuning",
            COMMAND,
            rows,
            typed=[*FIXED, *sweeper, *SEARCHED],
            best=best(rows),
            defaults={"valid": default["valid_accuracy"], "test": default["accuracy"]},
        )
