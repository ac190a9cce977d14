"""Texts that one core encodes and classifies in a second, for what a large job costs.

    OMP_NUM_THREADS=1 python -m benchmarks.throughput

The encoders that come with the package, in bfloat16 where that is faster, on terms of medical_terms and on eight of
them joined. Seconds are those of the processor, not of the clock, so that other work beside it changes little. It is
the whole of `TextClassifier.predictions`, without reading and writing.
"""

import time

import torch

from benchmarks.encoding import read_texts
from benchmarks.record import record
from fewshot.classifier import FewShotClassifier
from fewshot.encoders import Encoder, SentenceTransformerEncoder, TransformerEncoder

COMMAND = "OMP_NUM_THREADS=1 python -m benchmarks.throughput"
N_TEXTS = 2000
JOINED = 8  # terms in a long text
PER_MILLION = 1e6 / 3600


def encoders() -> dict[str, Encoder]:
    """Those that come with the package."""
    small = TransformerEncoder(
        "bundled/deepseek-small", attention="bidirectional", device="cpu", cache=None, tokens_per_batch=2048
    )
    return {"minilm": SentenceTransformerEncoder(device="cpu", cache=None), "deepseek_small": small}


def main(n_texts: int = N_TEXTS) -> list[dict[str, object]]:
    """Run the benchmark, print its table and keep it under `benchmarks/results`."""
    torch.set_num_threads(1)
    terms = read_texts(n_texts)
    long = [", ".join(terms[place : place + JOINED]) for place in range(0, n_texts, 2)]
    rows: list[dict[str, object]] = []
    for name, encoder in encoders().items():
        fitted = FewShotClassifier(encoder=encoder, stage="prototypes").fit(terms[:40], ["a", "b"] * 20)
        classifier = fitted.model_.without_cache()
        for kind, texts in {"terms": terms, "sentences": long}.items():
            classifier.predictions(texts[:64])
            started, wall = time.process_time(), time.perf_counter()
            classifier.predictions(texts)
            seconds, wall = time.process_time() - started, time.perf_counter() - wall
            rows.append(
                {
                    "encoder": name,
                    "texts": kind,
                    "mean words": round(sum(len(text.split()) for text in texts) / len(texts), 1),
                    "texts a core-second": round(len(texts) / seconds),
                    "core-hours a million": round(PER_MILLION * seconds / len(texts), 2),
                    "share of a core that it got": round(seconds / wall, 2),
                }
            )
    record("throughput", COMMAND, rows, n_texts=n_texts)
    return rows


if __name__ == "__main__":
    main()
