"""Exported classifiers beside the one they are of: size, equal answers, accuracy, speed, and the cost of a cold start.

    OMP_NUM_THREADS=1 FEWSHOT_DATA=DIR python -m benchmarks.export [--tasks banking77 ...]
        [--encoders minilm ...] [--texts 10]

All classes at once, 10 texts each, by `FewShotClassifier` with MiniLM and with the static encoder. Differences and
agreement are to torch in float32. A cold start is `fewshot predict` of one text in a new process: seconds of the
processor, user and system, the median of three. Texts per second are of the processor's seconds too, so that other work
beside it changes little.
"""

import argparse
import itertools
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.experiments import load
from benchmarks.front_door import draws
from benchmarks.record import record
from fewshot import ExportedClassifier, FewShotClassifier, SentenceTransformerEncoder, TextClassifier
from fewshot.encoders import Encoder, StaticEncoder
from fewshot.export.description import MODELS

COMMAND = "OMP_NUM_THREADS=1 FEWSHOT_DATA=DIR python -m benchmarks.export"
TASKS, SHOTS, TEXTS, STARTS = ("banking77", "clinc150", "medical_terms"), 10, 10, 3
TORCH = "torch"
ENCODERS: dict[str, Callable[..., Encoder]] = {"minilm": SentenceTransformerEncoder, "static": StaticEncoder}
KINDS = [(TORCH, "float32"), (TORCH, "bfloat16"), *((kind, p) for kind in MODELS for p in ("float32", "int8"))]


def main(
    tasks: Sequence[str] = TASKS, encoders: Sequence[str] = tuple(ENCODERS), texts: int = TEXTS
) -> list[dict[str, Any]]:
    """Measure, print the table and keep it under `benchmarks/results`."""
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name, encoder in itertools.product(tasks, encoders):
        with tempfile.TemporaryDirectory() as folder:
            for row in measured(name, encoder, texts, Path(folder), with_starts=name == tasks[0]):
                rows.append(row)
                print(row, flush=True)
    record("export", COMMAND, rows, shots=SHOTS, texts_per_class=texts, seed=0)
    return rows


def measured(name: str, encoder_name: str, n_texts: int, folder: Path, with_starts: bool) -> Iterator[dict[str, Any]]:
    """A row for each format and precision of the classifier of one task by one encoder."""
    task = load(name)
    support, test = draws(task, SHOTS, (0,))[0]
    names, kept, counts = task.label_names, list[int](), Counter[int]()
    for text in test:
        counts[int(task.labels[text])] += 1
        if counts[int(task.labels[text])] <= n_texts:
            kept.append(text)
    fitted = FewShotClassifier(encoder=ENCODERS[encoder_name](cache=None)).fit(
        [task.texts[i] for i in support], [names[task.labels[i]] for i in support]
    )
    queries, right = [task.texts[i] for i in kept], np.array([names[task.labels[i]] for i in kept], dtype=object)
    fitted.model_.save_pretrained(folder / TORCH)
    whole, exact = 0.0, np.empty(0)
    for kind, precision in KINDS:
        if (encoder_name, precision) == ("static", "bfloat16"):
            continue  # it computes in float32
        place = folder / (TORCH if kind == TORCH else f"{kind}_{precision}")
        if kind == TORCH:
            encoder = fitted.model_.encoder.replace(dtype=precision, cache=None)
            classifier: TextClassifier | ExportedClassifier = TextClassifier.from_pretrained(
                place, encoder.replace(weights=None)
            )
            size = sum(4 * weight.numel() for weight in encoder.module.parameters())
        else:
            fitted.model_.export(place, kind, int8=precision == "int8")
            classifier = ExportedClassifier.from_pretrained(place)
            size = sum((place / file).stat().st_size for file in MODELS[kind])
        classifier.predict_proba(queries[:64])
        started = time.process_time()
        probabilities = np.asarray(classifier.predict_proba(queries))
        seconds = time.process_time() - started
        exact = probabilities if not len(exact) else exact
        whole = size if kind != TORCH and precision == "float32" else whole
        found = np.array(classifier.labels, dtype=object)[probabilities.argmax(1)]
        yield {
            "task": name,
            "encoder": encoder_name,
            "format": kind,
            "precision": precision,
            "MB": round(size / 1e6, 1),
            "% of float32": "" if kind == TORCH else round(100 * size / whole, 1),
            "max difference": float(f"{np.abs(probabilities - exact).max():.2g}"),
            "% equal labels": round(100 * float((probabilities.argmax(1) == exact.argmax(1)).mean()), 2),
            "accuracy": round(100 * float((found == right).mean()), 2),
            "texts a core-second": round(len(queries) / seconds),
            "cold start s": cold_start(place, folder) if with_starts and precision != "bfloat16" else "",
        }


def cold_start(model: Path, folder: Path) -> float:
    """Seconds of the processor from the start of a process to its first answer, and its end."""
    table = folder / "one.csv"
    table.write_text("text\nmy card is gone\n", encoding="utf-8")
    seconds = []
    for _ in range(STARTS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "fewshot", "predict", str(model), str(table)]
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return round(statistics.median(seconds), 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--encoders", nargs="+", default=tuple(ENCODERS), choices=tuple(ENCODERS))
    parser.add_argument("--texts", type=int, default=TEXTS)
    given = parser.parse_args()
    main(given.tasks, given.encoders, given.texts)
