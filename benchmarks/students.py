"""Students beside their teachers: accuracy, size and speed, all classes at once, 10 texts a class.

    FEWSHOT_DATA=DIR python -m benchmarks.students [--tasks banking77 ...] [--teachers minilm ...]
        [--students static ...] [--seeds 0 ...] [--rows 1000000]

77 classes of banking77 and 150 of clinc150.  The test part is that of `benchmarks.peers`, 40 texts of each class; a
seed is one draw of the support from the rest.  The teacher is what `FewShotClassifier` fits to the support in its
defaults, without an adapter.  The student learns from the texts outside of the test part, without their labels.
Differences are paired by test text, with 95 % intervals over all texts of all seeds.  With student `general` no texts
are given.

Speed is measured in one process, side by side in turn, on 2,000 texts of the test part, without a cache: the median of
three rounds of the teacher, `SentenceTransformer.encode` in its defaults (batches of 32, float32, on as many threads)
and the student; latency is the median of single texts.  MPNet is `$FEWSHOT_MPNET`, a folder.  `--rows N` has `fewshot
predict` classify a table of N distinct texts of 13 tokens on average by a static student, and says its seconds and its
largest memory.  Settings of students were chosen on texts of train and valid classes outside of the test part.
"""

import argparse
import csv
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.experiments import load
from benchmarks.peers import Problem, episode_of
from benchmarks.record import record
from fewshot import FewShotClassifier, SentenceTransformerEncoder
from fewshot.distill import Accuracies
from fewshot.distill.comparison import bytes_of
from fewshot.encoders import Encoder
from fewshot.tasks import Task
from fewshot.text_classifier import TextClassifier

TASKS, SHOTS, SEEDS = ("banking77", "clinc150"), 10, (0, 1, 2)
TEACHERS = ("minilm", "mpnet")
GENERAL = "general"
_RUN = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
_TIMED, _ROUNDS, _SINGLE = 2000, 3, 50  # texts, rounds, single texts


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Measure, record, and return the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--teachers", nargs="+", default=TEACHERS, choices=TEACHERS)
    parser.add_argument("--students", nargs="+", default=(GENERAL, "static"))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--rows", type=int, default=0, help="of a table for fewshot predict; 0: none")
    parser.add_argument("--name", default="students", help="of the file in benchmarks/results")
    chosen = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    many: list[dict[str, float]] = []
    for teacher, task in itertools.product(chosen.teachers, chosen.tasks):
        for student in chosen.students:
            row, classifier = compared(load(task), encoder_of(teacher), student, chosen.seeds)
            rows.append({"task": task, "teacher": teacher, "student": student, **row})
            print(*rows[-1].values(), flush=True)
            if chosen.rows and student == "static" and not many:
                many.append(predicted(classifier, load(task).texts, chosen.rows))
    details = {"shots": SHOTS, "seeds": list(chosen.seeds), "fewshot_predict": many}
    record(chosen.name, "python -m benchmarks.students", rows, **details)
    return rows


def encoder_of(teacher: str) -> Encoder:
    """A teacher's encoder by its name."""
    return (
        SentenceTransformerEncoder() if teacher == "minilm" else SentenceTransformerEncoder(os.environ["FEWSHOT_MPNET"])
    )


def compared(task: Task, encoder: Encoder, student: str, seeds: Sequence[int]) -> tuple[dict[str, Any], TextClassifier]:
    """A row of the table, and the last student."""
    right: dict[str, list[bool]] = {"teacher": [], "student": []}
    agreements, seconds = [], []
    for seed in seeds:
        problem = Problem.of(task, episode_of(task, SHOTS, seed), seed)
        labels = [problem.support.labels[number] for number in problem.support.classes.tolist()]
        names = dict(zip(problem.support.labels, problem.support.label_names or (), strict=True))
        model = FewShotClassifier(encoder=encoder, adapter=None, label_names=names, random_state=seed)
        teacher = model.fit(problem.support.texts, labels)
        tests = set(problem.tests)
        texts = None if student == GENERAL else [text for text in task.texts if text not in tests]
        started = time.perf_counter()
        small = teacher.distill(texts, "static" if student == GENERAL else student)
        seconds.append(time.perf_counter() - started)
        expected = [problem.support.labels[number] for number in problem.targets.tolist()]
        said = {"teacher": teacher.predict(problem.tests), "student": small.predict(problem.tests)}
        for name, answers in said.items():
            right[name] += [own == other for own, other in zip(answers.tolist(), expected, strict=True)]
        agreements.append(float((said["teacher"] == said["student"]).mean()))
    accuracies = Accuracies.of(right["teacher"], right["student"])
    row = {
        "teacher %": 100 * accuracies.teacher,
        "student %": 100 * accuracies.student,
        "difference": accuracies.difference.percent(sign=True),
        "same label %": 100 * statistics.mean(agreements),
        "MB": bytes_of(small.model_.encoder) / 1e6,
        "teacher MB": bytes_of(encoder) / 1e6,
        "distilled in s": statistics.median(seconds),
        **speeds(teacher.model_, small.model_, problem.tests),
    }
    return row, small.model_


def speeds(teacher: TextClassifier, student: TextClassifier, texts: Sequence[str]) -> dict[str, float]:
    """Texts a second and milliseconds a text of each, measured in turn."""
    from sentence_transformers import SentenceTransformer

    texts = list(texts)[:: max(1, len(texts) // _TIMED)][:_TIMED]
    plain = SentenceTransformer(str(teacher.encoder.folder), device="cpu")
    fresh = {"teacher": teacher.without_cache().predict, "student": student.without_cache().predict}
    runs: dict[str, Callable[[list[str]], Any]] = {
        **fresh,
        "SentenceTransformer": lambda batch: plain.encode(batch, show_progress_bar=False),
    }
    for run in runs.values():
        run(texts[:50])
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _, (name, run) in itertools.product(range(_ROUNDS), runs.items()):
        started = time.perf_counter()
        run(texts)
        rates[name].append(len(texts) / (time.perf_counter() - started))
    rate = {name: statistics.median(own) for name, own in rates.items()}
    found = {f"{name} texts/s": value for name, value in rate.items()}
    found |= {f"times {name}": rate["student"] / rate[name] for name in ("teacher", "SentenceTransformer")}
    for name, run in fresh.items():
        single = []
        for text in texts[:_SINGLE]:
            started = time.perf_counter()
            run([text])
            single.append(1000 * (time.perf_counter() - started))
        found[f"{name} ms"] = statistics.median(single)
    return found


def predicted(classifier: TextClassifier, texts: Sequence[str], n_rows: int) -> dict[str, float]:
    """Seconds and largest memory of `fewshot predict` on a table of distinct texts, made of halves of two texts."""
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        classifier.save_pretrained(Path(folder, "student"))
        with open(Path(folder, "many.csv"), "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text"])
            for number in range(n_rows):
                one, other = draw.choice(texts).split(), draw.choice(texts).split()
                writer.writerow([" ".join([*one[: len(one) // 2], *other[len(other) // 2 :], str(number)])])
        command = [sys.executable, "-m", "fewshot", "predict", f"{folder}/student", f"{folder}/many.csv"]
        started = time.perf_counter()
        # By way of a small process: a child begins with the largest memory of its parent.
        ran = subprocess.run(
            [sys.executable, "-c", _RUN, *command, "-o", f"{folder}/out.csv"], check=True, stdout=subprocess.PIPE
        )
        seconds = time.perf_counter() - started
    peak = int(ran.stdout)
    return {"rows": n_rows, "seconds": seconds, "peak_gb": peak * 1024 / 1e9, "threads": torch.get_num_threads()}


if __name__ == "__main__":
    main()
