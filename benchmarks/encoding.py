"""Texts per second: `SentenceTransformer.encode` with its defaults, our encoder, and our encoder's warm cache.

    OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 python -m benchmarks.encoding

The same model (MiniLM), the same 2,000 terms, loaded weights, the same process; the contestants take turns.
"""

import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks.record import record
from fewshot.encoders import SentenceTransformerEncoder
from fewshot.encoders.source import bundled_folder
from fewshot.resources import shipped

N_TEXTS = 2000
ROUNDS = 5
PEER = "SentenceTransformer.encode"
OURS = "fewshot, no cache"
SHALLOW = "fewshot, no cache, shallow layer"  # as in the main job
WARM = "fewshot, warm cache"


def read_texts(n_texts: int = N_TEXTS) -> list[str]:
    """Terms of the medical task, spread over the whole file."""
    with open(shipped("episodes") / "medical_terms" / "texts.tsv", encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file, delimiter="\t")]
    return [texts[place * len(texts) // n_texts] for place in range(n_texts)]


def main(n_texts: int = N_TEXTS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Run the benchmark, print its table and keep it under `benchmarks/results`.

    Args:
        n_texts: distinct texts to encode in each round.
        rounds: turns of each contestant; the median counts.

    Returns:
        One row per contestant under `rows`, and what else was measured.
    """
    from sentence_transformers import SentenceTransformer

    texts = read_texts(n_texts)
    peer = SentenceTransformer(str(bundled_folder()), device="cpu")
    ours = SentenceTransformerEncoder(device="cpu", cache=None)
    shallow = ours.replace(shallow_layer=3)
    with tempfile.TemporaryDirectory() as folder:
        ours.replace(cache=folder).encode(texts)
        warm = ours.replace(cache=folder)  # a fresh one: it has loaded nothing and reads the disk

        def encode_warm() -> torch.Tensor:
            return warm.replace().encode(texts)

        contestants: dict[str, Callable[[], Any]] = {
            PEER: lambda: peer.encode(texts, convert_to_tensor=True),
            OURS: lambda: ours.encode(texts),
            SHALLOW: lambda: shallow.encode(texts),
            WARM: encode_warm,
        }
        features = {name: run() for name, run in contestants.items()}  # also warms up
        seconds = take_turns(contestants, rounds)
        warm.encode(texts)

    rows = [row(name, n_texts, times, statistics.median(seconds[PEER])) for name, times in seconds.items()]
    cosines = torch.cosine_similarity(features[PEER].cpu(), features[OURS])
    details = {
        "n_texts": n_texts,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        "dtype": str(next(ours.backbone.parameters()).dtype).removeprefix("torch."),
        "min_cosine_to_float32": round(cosines.min().item(), 5),
        "texts_encoded_by_a_warm_run": warm.n_encoded,
    }
    record("encoding", "python -m benchmarks.encoding", rows, **details)
    return {"rows": rows, **details}


def take_turns(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each round: A B C, A B C, … so that a busy machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def row(name: str, n_texts: int, seconds: list[float], peer_seconds: float) -> dict[str, Any]:
    """One line of the table; rates in texts per second, medians with the slowest and the fastest round."""
    median = statistics.median(seconds)
    return {
        "encoder": name,
        "texts_per_second": round(n_texts / median),
        "slowest": round(n_texts / max(seconds)),
        "fastest": round(n_texts / min(seconds)),
        "times_the_peer": round(peer_seconds / median, 2),
    }


if __name__ == "__main__":
    main()
