"""Run parts of the harness and record what was found."""

import argparse
import json
import logging
import random
import tempfile
from pathlib import Path
from typing import Any

import benchmarks.faults
from benchmarks.faults.disks import Skipped
from benchmarks.faults.parts import parts
from benchmarks.faults.tally import OUTCOMES, Tally
from benchmarks.record import RESULTS, record, show_rows

SECONDS = 3600.0


def measured(
    names: list[str], seed: int, quick: bool = False, count: int | None = None, seconds: float = SECONDS
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each part, and the first faults in words.

    Args:
        names: of parts.
        seed: of what is drawn.
        quick: the form of the tests rather than the long one.
        count: trials of each part, in place of its own number.
        seconds: after so many a part begins no further trial.
    """
    rows, faults = list[dict[str, Any]](), list[str]()
    for name in names:
        part, tally = parts(quick)[name], Tally()
        logging.disable(logging.CRITICAL)
        with tempfile.TemporaryDirectory() as folder:
            try:
                wanted = count or (part.quick if quick else part.long)
                tally.run(part.trials(random.Random(f"{seed}/{name}"), Path(folder)), wanted, seconds)
            except Skipped as reason:
                print(f"{name} is skipped: {reason}.")
        logging.disable(logging.NOTSET)
        trials = sum(tally.outcomes.values())
        found = {outcome: tally.outcomes[outcome] for outcome in OUTCOMES}
        rows.append({"part": name, "trials": trials, **found, "seconds": round(tally.seconds)})
        faults += tally.faults
    return rows, faults


def main() -> None:
    """Measure and record."""
    every = list(parts(True))
    formatter = argparse.RawDescriptionHelpFormatter
    titles = "\n".join(f"  {name:<12}{part.title}" for name, part in parts(True).items())
    parser = argparse.ArgumentParser(
        description=benchmarks.faults.__doc__, epilog=f"parts:\n{titles}", formatter_class=formatter
    )
    parser.add_argument("--parts", nargs="+", default=every, choices=every)
    parser.add_argument("--quick", action="store_true", help="as few trials as the tests run")
    parser.add_argument("--count", type=int, help="trials of each part, in place of its own number")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each part at most")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows, faults = measured(chosen.parts, chosen.seed, chosen.quick, chosen.count, chosen.seconds)
    for fault in faults:
        print(fault)
    if chosen.quick:
        show_rows("faults", rows)
        return
    known = json.loads((RESULTS / "faults.json").read_text())["rows"]
    found = {row["part"]: row for row in (*known, *rows)}  # parts are drawn independently, so each may run by itself
    kept = [found[name] for name in every if name in found]
    record("faults", f"python -m benchmarks.faults --seed {chosen.seed}", kept, seed=chosen.seed)


if __name__ == "__main__":
    main()
