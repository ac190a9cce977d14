"""Make the general vectors of `encoder=static`: MiniLM's features of texts, from a vector for each word piece.

    python -m benchmarks.static_vectors --text DIR --out FOLDER

DIR holds `*.txt.gz`, a text a line, of which those of `TEXT_FILES` are read, equally many lines of each. Beside whole
lines the teacher embeds spans of one to four words of them, for terms and label names. The vectors start as the
teacher's features of single pieces, weighted by SIF (Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for
Sentence Embeddings") and brought to a low rank by PCA. The teacher's features and checkpoints are kept in FOLDER, so
that a run that was stopped goes on from there. At the end FOLDER/static holds what ships in `weights/static`.
"""

import argparse
import gzip
import hashlib
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.experiments import default_encoder
from benchmarks.meta_collection import TEXT_FILES
from fewshot.distill import ImitationSettings, Lessons, imitate
from fewshot.distill.static import FlatIds, PieceTable
from fewshot.encoders import Encoder
from fewshot.encoders.row_int8 import WEIGHTS, write_packed
from fewshot.encoders.static import PieceVectors
from fewshot.encoders.word_pieces import WordPieces
from fewshot.storage import write_json
from fewshot.training import Store

MAX_CHARACTERS = 300  # of a line
MAX_WORDS = 4  # of a span
HELD_OUT = 2000  # texts
SIF = 1e-3


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train, write the folder, and print and return what `training.json` in it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=60_000, help="of each file, at most")
    parser.add_argument("--spans", type=int, default=60_000)
    parser.add_argument("--rank", type=int, default=192)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    teacher = default_encoder(f"encoder.cache={chosen.out / 'features'}")
    texts = general_texts(chosen.text, chosen.lines, chosen.spans, chosen.seed)
    lessons = Lessons.of(teacher, texts, held_out=min(0.1, HELD_OUT / len(texts)), seed=chosen.seed)
    pieces = WordPieces.bundled()
    ids = FlatIds.of(pieces(lessons.texts))
    before = start(teacher, ids, chosen.rank)
    table = PieceTable(before, ids, before.pairs.long())
    settings = ImitationSettings(steps=chosen.steps, evaluate_every=100, patience=chosen.steps, batch=chosen.batch)
    groups = [{"params": list(table.parameters()), "lr": chosen.rate, "weight_decay": 0.0}]
    determining = {"training": settings.determining(), "rate": chosen.rate, "lessons": lessons.digest}
    files = Store(checkpoints=chosen.out / "checkpoints", resume=True).files("general", determining)
    started = time.perf_counter()
    history = imitate(table, lessons, settings, groups, chosen.seed, files)
    folder = chosen.out / "static"
    write_packed(folder, table.weights(before))
    summary = {
        "texts": len(texts),
        "rank": chosen.rank,
        "steps": history.steps,
        "held_out_cosine": {str(step): round(cosine, 5) for step, cosine in history.valid_accuracies.items()},
        "seconds": round(time.perf_counter() - started, 1),
        "seed": chosen.seed,
        "sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
    }
    write_json(folder / "training.json", summary)
    print(json.dumps(summary), flush=True)
    return summary


def general_texts(folder: Path, n_lines: int, n_spans: int, seed: int = 0) -> list[str]:
    """Distinct lines, as many of each file, and spans of them; in random order."""
    generator = random.Random(seed)
    lines: list[str] = []
    for name in TEXT_FILES:
        with gzip.open(folder / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
            own = sorted({" ".join(line.split())[:MAX_CHARACTERS] for line in file} - {""})
        lines += generator.sample(own, min(n_lines, len(own)))
    spans = (_span(generator.choice(lines), generator) for _ in range(n_spans))
    texts = list(dict.fromkeys([*lines, *spans]))
    generator.shuffle(texts)
    return texts


def start(teacher: Encoder, ids: FlatIds, rank: int) -> PieceVectors:
    """The teacher's features of each piece by itself, less their mean, weighted by SIF, in a low rank by PCA."""
    features = single_pieces(teacher, WordPieces.bundled().count)
    shares = torch.bincount(ids.ids, minlength=len(features)) / len(ids.ids)
    mean = features.mean(0)
    weighted = (features - mean) * (SIF / (SIF + shares))[:, None]
    left, sizes, directions = torch.linalg.svd(weighted, full_matrices=False)
    vectors = left[:, :rank] * sizes[:rank]
    empty = torch.zeros(0, 2, dtype=torch.int16), torch.zeros(0, rank)
    return PieceVectors(vectors, *empty, directions[:rank].clone(), mean.clone())


def single_pieces(teacher: Encoder, n_pieces: int) -> Float[Tensor, "n_pieces dim"]:
    """Unit features of each piece of a BERT vocabulary between the two special tokens."""
    first, last = teacher.tokenize([""])["input_ids"][0].tolist()
    rows = []
    for part in torch.arange(n_pieces).split(512):
        ids = torch.stack([torch.full_like(part, first), part, torch.full_like(part, last)], 1)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        with torch.inference_mode():
            rows.append(teacher.embed(batch).cpu().float())
    return torch.nn.functional.normalize(torch.cat(rows).clone(), dim=-1)


def _span(line: str, generator: random.Random) -> str:
    words = line.split()
    begin = generator.randrange(len(words))
    return " ".join(words[begin : begin + generator.randint(1, MAX_WORDS)])


if __name__ == "__main__":
    main()
