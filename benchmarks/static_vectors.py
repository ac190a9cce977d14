"""Make the general vectors of `encoder=static`: MiniLM's features of texts, from a vector for each word piece.

    python -m benchmarks.static_vectors --text DIR --out FOLDER [--lines 60000] [--spans 60000]

DIR holds `*.txt.gz`, a text a line, of which those of `TEXT_FILES` are read. Beside whole lines MiniLM embeds spans of
one to four words of them, for terms and label names. Its features are kept in FOLDER, so that a run that was stopped
goes on from there. At the end FOLDER/model.safetensors is what ships in `weights/static`.
"""

import gzip
import random
from pathlib import Path

from benchmarks.meta_collection import TEXT_FILES

MAX_CHARACTERS = 300  # of a line
MAX_WORDS = 4  # of a span


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


def _span(line: str, generator: random.Random) -> str:
    words = line.split()
    start = generator.randrange(len(words))
    return " ".join(words[start : start + generator.randint(1, MAX_WORDS)])
