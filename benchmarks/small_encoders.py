"""The small encoders of the package beside MiniLM, their teacher: accuracy on test classes, and texts per second.

    FEWSHOT_DATA=DIR python -m benchmarks.small_encoders [--encoders deepseek_small static]

Nearest centroid with label names, embedding alone, test classes of each class split, 600 episodes a split (all-way
1-shot: 100), 5 queries a class, seed 0; intervals over all episodes of a row. An encoder and MiniLM see the same
episodes, and the difference is paired. Speed: 2,000 terms of medical_terms and 2,000 requests of banking77, without a
cache, in turns in one process; the median round counts.
"""

import argparse
import json
import logging
import statistics
import time
from typing import Any

import torch

from benchmarks.accuracy import ASKED
from benchmarks.encoding import read_texts
from benchmarks.experiments import SPLITS, default_encoder, experiment, load, splits_of
from benchmarks.record import record, show_rows
from fewshot.encoders import Encoder
from fewshot.evaluation import Estimate, paired_difference
from fewshot.report.results import scores
from fewshot.resources import shipped

ENCODERS = ("deepseek_small", "static")
N_TEXTS = 2000
ROUNDS = 9


def main() -> None:
    """Measure each encoder, and record it under its name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), choices=ENCODERS)
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    for name in parser.parse_args().encoders:
        measure(name)


def measure(name: str) -> None:
    """Both tables of one encoder."""
    teacher = default_encoder("encoder.shallow_layer=null")
    student = default_encoder(f"encoder={name}")
    rows, runs = [], []
    for task in SPLITS:
        for asked in ASKED:
            row, details = compare(task, asked, teacher, student)
            rows.append(row)
            runs += details
            print(*row.values(), flush=True)
    speed = [texts_per_second(of, texts, teacher, student) for of, texts in speed_texts().items()]
    show_rows("texts per second", speed)
    record(
        name,
        f"FEWSHOT_DATA=DIR python -m benchmarks.small_encoders --encoders {name}",
        rows,
        kept_percent=kept(rows),
        speed=speed,
        size=size(name, student),
        training=json.loads((shipped("weights") / name / "training.json").read_text(encoding="utf-8")),
        encoders={encoder.model: encoder.fingerprint for encoder in (teacher, student)},
        runs=runs,
    )


def compare(task: str, asked: str, teacher: Encoder, student: Encoder) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One line of the table, and the figures of both encoders on each split."""
    options: dict[str, Any] = {"queries": 5, "label_names": True, **ASKED[asked]}
    accuracies: dict[str, list[torch.Tensor]] = {teacher.model: [], student.model: []}
    runs = []
    for split in splits_of(task):
        for encoder in (teacher, student):
            result = experiment(task, split, "centroid", encoder, **options)
            accuracies[encoder.model].append(result.evaluation.accuracies)
            details = {"task": task, "split": split, "asked": asked, "encoder": encoder.model, "seed": 0}
            runs.append(details | {"episodes_sha256": result.episodes.sha256()} | scores(result.evaluation))
    of_teacher, of_student = (torch.cat(accuracies[encoder.model]) for encoder in (teacher, student))
    row = {
        "task": task,
        "episodes": asked,
        "MiniLM": Estimate.of(of_teacher).percent(),
        "student": Estimate.of(of_student).percent(),
        "difference": paired_difference(of_student, of_teacher).percent(sign=True),
        "kept": f"{100 * (of_student.double().mean() / of_teacher.double().mean()).item():.1f} %",
    }
    return row, runs


def kept(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Mean over tasks of the share of the teacher's accuracy that the student keeps, in percent."""
    shares: dict[str, list[float]] = {}
    for row in rows:
        shares.setdefault(row["episodes"], []).append(float(row["kept"].removesuffix(" %")))
    means = {asked: round(statistics.mean(values), 2) for asked, values in shares.items()}
    return means | {"5w1s and 5w5s": round((means["5w1s"] + means["5w5s"]) / 2, 2)}


def speed_texts() -> dict[str, list[str]]:
    """Texts to encode: terms of a few tokens, and requests of a sentence."""
    requests = load("banking77").texts
    spread = [requests[place * len(requests) // N_TEXTS] for place in range(N_TEXTS)]
    return {"medical_terms": read_texts(N_TEXTS), "banking77": spread}


def texts_per_second(name: str, texts: list[str], teacher: Encoder, student: Encoder) -> dict[str, Any]:
    """One line of the speed table; `times` are ratios of a round, in seconds and in processor seconds."""
    encoders = {"MiniLM": teacher.replace(cache=None), "student": student.replace(cache=None)}
    seconds: dict[str, list[float]] = {key: [] for key in encoders}
    processor: dict[str, list[float]] = {key: [] for key in encoders}
    for number in range(ROUNDS + 1):
        for key, encoder in encoders.items():
            started, busy = time.perf_counter(), time.process_time()
            encoder.encode(texts)
            if number > 0:  # the first round loads and warms up
                seconds[key].append(time.perf_counter() - started)
                processor[key].append(time.process_time() - busy)
    ratios = sorted(a / b for a, b in zip(seconds["MiniLM"], seconds["student"], strict=True))
    dtypes = {str(encoder.precision).removeprefix("torch.") for encoder in encoders.values()}
    return {
        "texts": name,
        "tokens a text": round(student.tokenize(texts)["attention_mask"].sum().item() / len(texts), 1),
        **{key: round(len(texts) / statistics.median(times)) for key, times in seconds.items()},
        "times": round(statistics.median(ratios), 2),
        "lowest": round(ratios[0], 2),
        "highest": round(ratios[-1], 2),
        "times, processor": round(sum(processor["MiniLM"]) / sum(processor["student"]), 2),
        "threads": torch.get_num_threads(),
        "dtype": " and ".join(sorted(dtypes)),
    }


def size(name: str, student: Encoder) -> dict[str, Any]:
    """Parameters, and bytes of the shipped folder."""
    files = {file.name: file.stat().st_size for file in sorted((shipped("weights") / name).iterdir())}
    parameters = {part: tensor.numel() for part, tensor in student.load().named_parameters()}
    words = sum(count for part, count in parameters.items() if "embed_tokens" in part or part == "vectors")
    total = sum(parameters.values())
    return {
        "parameters": total,
        "without_word_embeddings": total - words,
        "bytes": files,
        "in_all": sum(files.values()),
    }


if __name__ == "__main__":
    main()
