"""Time of the main job as a user has it: a new process, features cached; then again, what was trained being kept.

python -m benchmarks.main_job [--runs 3]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import record

PHASES = ("encode", "meta_train_encoder", "meta_train", "evaluate", "baselines")


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="counted runs, after one that fills the cache")
    runs = parser.parse_args().runs
    rows = []
    cache = tempfile.mkdtemp(prefix="fewshot-cache-")
    with tempfile.TemporaryDirectory() as home:
        for number in range(runs + 2):
            output = Path(home) / str(min(number, runs))  # the last two share one, and with it what was trained
            command = [sys.executable, "-m", "fewshot.run", "+task=medical_terms", "shots=5", f"output={output}"]
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env={**os.environ, "FEWSHOT_CACHE": cache})
            seconds = time.perf_counter() - started
            newest = max(output.rglob("results.json"), key=lambda path: path.stat().st_mtime)
            results = json.loads(newest.read_text(encoding="utf-8"))
            phases = {phase: results["timings"].get(phase, 0.0) for phase in PHASES}
            run = "fills the cache" if number == 0 else str(number) if number <= runs else f"{runs} again"
            texts, memory = results["texts_encoded"], round(results["peak_memory_mb"])
            rows.append({"run": run, "wall s": seconds, **phases, "texts encoded": texts, "MB": memory})
    shutil.rmtree(cache)
    warm = statistics.median(row["wall s"] for row in rows[1:-1])
    record("main_job", "python -m benchmarks.main_job", rows, median_warm_seconds=warm)


if __name__ == "__main__":
    main()
