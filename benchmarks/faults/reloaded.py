"""Save, load in a fresh process, and compare logits bit by bit."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.faults.models import QUERIES, SUPPORT, saved_models
from benchmarks.faults.tally import Trial

LOGITS = "logits.safetensors"


def reloaded(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """Each learner, stage and encoder: saved, loaded by one fresh process, equal logits."""
    models = list(saved_models())
    generator.shuffle(models)
    expected = {}
    for number, model in enumerate(models):
        made = model.make(folder)
        made.save_pretrained(folder / f"{number}")
        expected[f"{number}"] = logits(made)
    command = [sys.executable, "-m", "benchmarks.faults.reloaded", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    for number, model in enumerate(models):

        def attempt(name: str = f"{number}") -> str:
            from fewshot.storage import read_tensors

            if done.returncode != 0:
                raise AssertionError(done.stderr[-1500:])
            found, _ = read_tensors(folder / LOGITS)
            return "same" if found[name].equal(expected[name]) else "fault"

        yield Trial(f"reloaded {model.name}", attempt)


def logits(model: Any) -> Any:
    """Of a classifier; of a meta-model those of one that is adapted."""
    from fewshot import MetaModel

    texts, labels = zip(*SUPPORT, strict=True)
    classifier = model.adapt(texts, labels) if isinstance(model, MetaModel) else model
    return classifier.logits(QUERIES)


def main(folder: Path) -> None:
    """Load all models of a folder, and write their logits beside them."""
    from fewshot import MetaModel, TextClassifier
    from fewshot.storage import write_tensors

    found = {}
    for path in sorted(folder.iterdir()):
        if (path / "classifier.json").is_file():
            found[path.name] = logits(TextClassifier.from_pretrained(path))
        elif (path / "meta_model.json").is_file():
            found[path.name] = logits(MetaModel.from_pretrained(path))
    write_tensors(folder / LOGITS, found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
