"""The shot curve: accuracy by labelled texts per class, a line for each stage of the ladder, and what auto chooses.

    FEWSHOT_DATA=DIR python -m benchmarks.shot_curve [--task banking77] [--shots 0 1 5 ...] [--stages auto lora ...]

Each point is a main job, `python -m fewshot.run +task=TASK ways=all protocol=fixed_test shots=N` with the settings of
`STAGES`: all test classes at once, the same test part and the same supports for all (split 01), and the frozen encoder,
so that the stages alone differ.  *auto* is the job with nothing else set; where that is one of the stages it is not run
twice.  Intervals are over supports, and the difference to the best stage is paired by support.  `--set classes=all` is
for all classes of the task, of which none is meta-trained on.

What was tuned on the supports has a table of its own: trained parameters, seconds for a support, and accuracy minus
that of the learner, and of the tuned head, on the same support, the lowest of all supports too.

Points are kept in `benchmarks/results/NAME.json` as they are measured, and not measured again.  The picture is
`docs/NAME.png`, see `benchmarks.shot_curve_picture`, which draws it again.
"""

import argparse
import json
import logging
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import RESULTS, record, show_rows
from benchmarks.shot_curve_picture import PICTURES, draw
from fewshot.adaptation import Ladder
from fewshot.evaluation import Estimate, paired_difference
from fewshot.run import main as run_main

SHOTS = (0, 1, 5, 10, 20, 50, 51, 100)
STAGES = {
    "auto": (),
    "label names": ("strategy=zero_shot",),
    "prototypes": ("strategy=prototypes", "final_stage=none"),
    "attention + head": ("strategy=attention", "final_stage=head"),
    "light": ("strategy=attention", "final_stage=light"),
    "LoRA": ("strategy=lora",),
    "adapter": ("strategy=adapter",),
    "full": ("strategy=full",),
}
SAME = {"zero_shot": "label names", "attention": "attention + head", "lora": "LoRA", "full": "full"}  # as auto
HEAD, TUNED = "attention + head", ("light", "LoRA", "adapter", "full")
FEWEST = {"auto": 0, "label names": 0, "prototypes": 1, HEAD: 2, "light": 2, "full": 50}  # shots; others: 10
DRAWN = [stage for stage in STAGES if stage not in ("light", "adapter")]
Point = dict[str, Any]
Asked = tuple[str, int, Sequence[str]]  # task, supports, overrides


def main() -> None:
    """Measure what is not there yet, record, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="banking77")
    parser.add_argument("--shots", nargs="+", type=int, default=list(SHOTS))
    parser.add_argument("--stages", nargs="+", default=DRAWN, choices=list(STAGES))
    parser.add_argument("--supports", type=int, default=3)
    parser.add_argument("--set", nargs="+", default=[], help="overrides, such as classes=all")
    parser.add_argument("--name", default="shot_curve", help="name of the file in benchmarks/results")
    chosen = parser.parse_args()
    command = shlex.join(["python", "-m", "benchmarks.shot_curve", *sys.argv[1:]])
    path = RESULTS / f"{chosen.name}.json"
    points: list[Point] = json.loads(path.read_text(encoding="utf-8"))["points"] if path.is_file() else []
    places = [
        (shots, stage)
        for shots in chosen.shots
        for stage in sorted(chosen.stages, key=lambda name: name == "auto")  # last: it may be one of the others
        if applies(stage, shots)
    ]
    for shots, stage in places:
        new = not any((p["shots"], p["stage"]) == (shots, stage) for p in points)
        if new:
            points.append(point((chosen.task, chosen.supports, chosen.set), shots, stage, points))
        if new or (shots, stage) == places[-1]:  # the table, even if all of it was there
            details = {"seed": 0, "points": points, "tuned": tuned(points)}
            record(chosen.name, f"FEWSHOT_DATA=DIR {command}", table(points), **details)
    if tuned(points):
        show_rows(f"{chosen.name}: tuned on the supports", tuned(points))
    draw(points, PICTURES / f"{chosen.name}.png")


def applies(stage: str, shots: int) -> bool:
    """Whether a stage has anything to do with so many shots."""
    return shots >= FEWEST.get(stage, 10)


def point(asked: Asked, shots: int, stage: str, points: Sequence[Point]) -> Point:
    """One main job, or the one of a stage that auto stands for."""
    rung = Ladder().rung(shots).name
    if stage == "auto" and rung in SAME:
        own = SAME[rung]
        there = [p for p in points if (p["shots"], p["stage"]) == (shots, own)]
        return {**(there[0] if there else job(asked, shots, own)), "stage": "auto"}
    if stage == "label names" and shots:  # no text is looked at, however many there are
        there = [p for p in points if p["stage"] == stage]
        return {**(there[0] if there else job(asked, shots, stage)), "shots": shots}
    return job(asked, shots, stage)


def job(asked: Asked, shots: int, stage: str) -> Point:
    """Run the main job and read its results."""
    task, supports, overrides = asked
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        fixed = (
            "ways=all",
            "protocol=fixed_test",
            f"supports={supports}",
            "minutes=120",
            "baselines=[]",
            "trainable=none",
        )
        typed = [f"+task={task}", f"shots={shots}", *fixed, *STAGES[stage], *overrides, f"output={folder}"]
        if run_main(typed) != 0:
            raise SystemExit(f"The main job failed with {shlex.join(typed)}.")
        found = next(Path(folder).rglob("results.json")).parent
        results = json.loads((found / "results.json").read_text(encoding="utf-8"))
        accuracies = json.loads((found / "episode_accuracies.json").read_text(encoding="utf-8"))
    adaptation = results["adaptation"]
    each = adaptation["each"] if adaptation else []
    return {
        "task": task,
        "shots": shots,
        "stage": stage,
        "final_stage": results["strategy"]["final_stage"],
        "kept": [details["stage"] for details in each],
        "ways": results["ways"],
        "queries": results["queries"],
        "accuracies": accuracies[results["learner"]],
        "before": accuracies.get("without the final stage"),
        "seconds": results["timings"]["total"],
        "tuning_seconds": [details["seconds"]["all"] for details in each if "seconds" in details],
        "trained": next((details["trained"] for details in each if "trained" in details), None),
    }


def table(points: Sequence[Point]) -> list[dict[str, Any]]:
    """One line for each number of shots: the accuracy of each stage, and auto beside the best of them."""
    stages = [stage for stage in STAGES if any(p["stage"] == stage for p in points)]
    rows = []
    for shots in sorted({p["shots"] for p in points}):
        here = {p["stage"]: torch.tensor(p["accuracies"], dtype=torch.double) for p in points if p["shots"] == shots}
        row: dict[str, Any] = {"shots": shots}
        row |= {stage: Estimate.of(here[stage]).percent() if stage in here else "" for stage in stages}
        others = {stage: values for stage, values in here.items() if stage != "auto"}
        best = max(others, key=lambda stage: float(others[stage].mean()), default=None)
        comparable = best is not None and "auto" in here and len(here["auto"]) == len(others[best])
        row["auto - best"] = paired_difference(here["auto"], others[best]).percent(sign=True) if comparable else ""
        rows.append(row)
    return rows


def tuned(points: Sequence[Point]) -> list[dict[str, str]]:
    """One line for each point at which an encoder was tuned: what that cost, and what came of it on each support."""
    heads = {p["shots"]: p["accuracies"] for p in points if p["stage"] == HEAD}
    rows = []
    for p in points:
        if p["stage"] not in TUNED:
            continue
        row = {"shots": str(p["shots"]), "stage": p["stage"], "kept on": f"{p['kept'].count(p['final_stage'])} of"}
        row["kept on"] += f" {len(p['kept'])}"
        row["trained"] = f"{p['trained']['trained']:,}" if p.get("trained") else ""
        row["share %"] = f"{100 * p['trained']['trained'] / p['trained']['total']:.1f}" if p.get("trained") else ""
        seconds = p.get("tuning_seconds")
        row["s a support"] = f"{sum(seconds) / len(seconds):.0f}" if seconds else ""
        row["accuracy"] = Estimate.of(torch.tensor(p["accuracies"], dtype=torch.double)).percent()
        for name, reference in (("learner", p["before"]), ("head", heads.get(p["shots"]))):
            row[f"against {name}"] = row[f"against {name}, lowest"] = ""
            if reference and len(reference) == len(p["accuracies"]):
                pair = [torch.tensor(values, dtype=torch.double) for values in (p["accuracies"], reference)]
                row[f"against {name}"] = paired_difference(*pair).percent(sign=True)
                row[f"against {name}, lowest"] = f"{100 * float((pair[0] - pair[1]).min()):+.1f}"
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
