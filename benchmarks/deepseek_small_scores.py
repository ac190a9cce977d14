"""`encoder=deepseek_small` beside MiniLM, its teacher: accuracy on test classes, and texts per second.

    FEWSHOT_DATA=DIR python -m benchmarks.deepseek_small_scores

Nearest centroid with label names, embedding alone, split 01, 600 episodes (all-way 1-shot: 100), 5 queries a class,
seed 0; both encoders see the same episodes, and the difference is paired. Speed: 2,000 terms of medical_terms and
2,000 requests of banking77, without a cache, in turns in one process; the median round counts.
"""

import json
import logging
import statistics
from typing import Any

import torch

from benchmarks.accuracy import ASKED
from benchmarks.encoding import read_texts, take_turns
from benchmarks.experiments import SPLITS, default_encoder, experiment, load
from benchmarks.record import record, show_rows
from fewshot.encoders import Encoder
from fewshot.evaluation import paired_difference
from fewshot.report.results import scores
from fewshot.resources import shipped

N_TEXTS = 2000
ROUNDS = 7


def main() -> None:
    """Measure and record."""
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    teacher = default_encoder("encoder.shallow_layer=null")
    student = default_encoder("encoder=deepseek_small")
    rows, runs = [], []
    for task in SPLITS:
        for asked in ASKED:
            row, details = compare(task, asked, teacher, student)
            rows.append(row)
            runs += details
            print(*row.values(), flush=True)
    speed = [texts_per_second(name, texts, teacher, student) for name, texts in speed_texts().items()]
    show_rows("texts per second", speed)
    record(
        "deepseek_small",
        "FEWSHOT_DATA=DIR python -m benchmarks.deepseek_small_scores",
        rows,
        kept_percent=kept(rows),
        speed=speed,
        size=size(student),
        training=json.loads((shipped("weights") / "deepseek_small" / "training.json").read_text(encoding="utf-8")),
        encoders={encoder.model: encoder.fingerprint for encoder in (teacher, student)},
        runs=runs,
    )


def compare(task: str, asked: str, teacher: Encoder, student: Encoder) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One line of the table, and the figures of both encoders."""
    options: dict[str, Any] = {"queries": 5, "label_names": True, **ASKED[asked]}
    results = [experiment(task, "01", "centroid", encoder, **options) for encoder in (teacher, student)]
    of_teacher, of_student = (result.evaluation for result in results)
    means = [100 * evaluation.accuracy.mean for evaluation in (of_teacher, of_student)]
    row = {
        "task": task,
        "episodes": asked,
        "MiniLM": of_teacher.accuracy.percent(),
        "deepseek_small": of_student.accuracy.percent(),
        "difference": paired_difference(of_student.accuracies, of_teacher.accuracies).percent(sign=True),
        "kept": f"{100 * means[1] / means[0]:.1f} %",
    }
    details = {"task": task, "split": "01", "asked": asked, "seed": 0, "episodes_sha256": results[0].episodes.sha256()}
    models = (teacher.model, student.model)
    runs = [details | {"encoder": m} | scores(r.evaluation) for m, r in zip(models, results, strict=True)]
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
    """One line of the speed table."""
    encoders = {"MiniLM": teacher.replace(cache=None), "deepseek_small": student.replace(cache=None)}
    for encoder in encoders.values():
        encoder.encode(texts[:200])
    seconds = take_turns({key: lambda e=e: e.encode(texts) for key, e in encoders.items()}, ROUNDS)  # type: ignore[misc]
    rates = {key: round(len(texts) / statistics.median(times)) for key, times in seconds.items()}
    tokens = student.tokenize(texts)["attention_mask"].sum().item() / len(texts)
    ratios = sorted(a / b for a, b in zip(seconds["MiniLM"], seconds["deepseek_small"], strict=True))
    dtype = {str(next(encoder.backbone.parameters()).dtype).removeprefix("torch.") for encoder in encoders.values()}
    return {
        "texts": name,
        "tokens": round(tokens, 1),
        **rates,
        "times": round(statistics.median(ratios), 2),
        "slowest round": round(ratios[0], 2),
        "fastest round": round(ratios[-1], 2),
        "threads": torch.get_num_threads(),
        "dtype": " and ".join(sorted(dtype)),
    }


def size(student: Encoder) -> dict[str, Any]:
    """Parameters, and bytes of the shipped folder."""
    module = student.load()
    total = sum(parameter.numel() for parameter in module.parameters())
    words = module.get_input_embeddings().weight.numel()  # type: ignore[operator]
    folder = shipped("weights") / "deepseek_small"
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    return {
        "parameters": total,
        "without_word_embeddings": total - words,
        "bytes": files,
        "in_all": sum(files.values()),
    }


if __name__ == "__main__":
    main()
