"""Encoding in 8 bits beside 16 and 32: texts per second, how near the features are, and nearest centroids by them.

    FEWSHOT_DATA=DIR python -m benchmarks.int8 [--threads 1] [--rounds 5]

Each encoder computes in float32, bfloat16 and in int8 beside either, whatever `encoder.dtype=int8` would choose; the
contestants take turns on 500 texts of banking77. Speed is by the seconds of the processor that the process used, over
the threads: on a machine that does other things too, it is that of an idle one, but for shared caches. Accuracy is that
of the nearest centroid of 10 texts a class, all classes at once, on 4 other texts of each.
"""

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import normalize

from benchmarks.experiments import load
from benchmarks.record import record
from fewshot.encoders import Encoder, SentenceTransformerEncoder, TransformerEncoder
from fewshot.encoders.int8 import use_int8
from fewshot.encoders.source import DEEPSEEK_SMALL

N_TIMED, SHOTS, QUERIES, SEED = 500, 10, 4, 0
TASKS = ("banking77", "clinc150", "medical_terms")


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Measure, record, and return the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    settings: dict[str, Any] = {"device": "cpu", "cache": None}
    deepseek = TransformerEncoder(DEEPSEEK_SMALL, attention="bidirectional", tokens_per_batch=2048, **settings)
    published = {"MiniLM": SentenceTransformerEncoder(**settings), "deepseek_small": deepseek}
    rows = [row for name, encoder in published.items() for row in compared(name, encoder, chosen.rounds)]
    command = f"FEWSHOT_DATA=DIR python -m benchmarks.int8 --threads {chosen.threads}"
    record(f"int8_{chosen.threads}_threads", command, rows, rounds=chosen.rounds, seed=SEED)
    return rows


def compared(name: str, encoder: Encoder, rounds: int) -> list[dict[str, Any]]:
    """A row for each precision of an encoder."""
    made = {dtype: encoder.replace(dtype=dtype) for dtype in ("float32", "bfloat16")}
    made |= {f"int8, {dtype}": encoder.replace(dtype=dtype) for dtype in ("float32", "bfloat16")}
    for dtype, one in made.items():
        one.load()
        if dtype.startswith("int8"):
            use_int8(one.backbone, one.sampled)
    texts = load("banking77").texts
    texts = texts[:: len(texts) // N_TIMED][:N_TIMED]
    features = {dtype: one.compute(texts) for dtype, one in made.items()}
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for dtype, one in made.items():
            started = time.process_time()
            one.compute(texts)
            seconds[dtype].append((time.process_time() - started) / torch.get_num_threads())
    found = {
        dtype: {task: hits(one, task) for task in TASKS} for dtype, one in made.items() if dtype != "int8, float32"
    }
    return [
        {
            "encoder": name,
            "precision": dtype,
            "texts/s": round(len(texts) / min(seconds[dtype])),
            "times float32": min(seconds["float32"]) / min(seconds[dtype]),
            "least cosine": torch.cosine_similarity(features["float32"], features[dtype]).min().item(),
            **{task: f"{100 * sum(own) / len(own):.1f}" for task, own in found.get(dtype, {}).items()},
            **({} if dtype in found else dict.fromkeys(TASKS, "")),
        }
        for dtype in made
    ]


def hits(encoder: Encoder, task: str) -> list[bool]:
    """For each query whether the nearest centroid is that of its class."""
    loaded, draw = load(task), random.Random(SEED)
    members: dict[int, list[int]] = defaultdict(list)
    for place, label in enumerate(loaded.labels.tolist()):
        members[label].append(place)
    drawn = [draw.sample(own, min(len(own), SHOTS + QUERIES)) for _, own in sorted(members.items())]
    rows = normalize(encoder.compute([loaded.texts[place] for own in drawn for place in own]), dim=-1)
    parts = rows.split([len(own) for own in drawn])
    centroids = normalize(torch.stack([part[:SHOTS].mean(0) for part in parts]), dim=-1)
    found = [(part[SHOTS:] @ centroids.T).argmax(1) == number for number, part in enumerate(parts)]
    hit: list[bool] = torch.cat(found).tolist()
    return hit


if __name__ == "__main__":
    main()
