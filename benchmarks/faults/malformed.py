"""Malformed input: task files, settings, results of a run, the JSON of a saved classifier."""

import contextlib
import io
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults.materials import tiny_encoder
from benchmarks.faults.strange import STRANGE, damaged, replaced
from benchmarks.faults.tally import Trial
from fewshot import FewShotClassifier, TextClassifier
from fewshot.cli.main import main as run
from fewshot.errors import FewshotError
from fewshot.report.__main__ import main as report
from fewshot.storage import read_sealed, write_sealed
from fewshot.tables import guess_columns, open_table
from fewshot.tasks import load_folder

SETTINGS = (
    *("shots", "ways", "queries", "episodes", "seed", "support_noise", "minutes", "baselines", "output", "metric"),
    *("task.path", "task.name", "task.split", "task.min_texts", "task.max_words", "training.steps", "training.ways"),
    *("training.learning_rate", "encoder.max_length", "encoder.shallow_weight", "encoder.cache", "learner.temperature"),
)
TEXTS = [f"{word} number {n}" for word in ("card", "loan", "cash", "rate") for n in range(6)]
LABELS = [text.split()[0] for text in TEXTS]
_CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(TEXTS, LABELS, strict=True))


def inputs(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """Task files and folders in which parts of JSON, csv and text are replaced, cut off or repeated."""
    number = 0
    while True:
        number += 1
        own = folder / f"{number}"
        own.mkdir()
        _write_task(own, generator)

        def attempt(own: Path = own) -> str:
            load_folder(own)
            table = open_table(next(own.glob("texts.*")))
            guess_columns(table, None, None)
            list(table)
            return "read"

        yield Trial(f"inputs {number}", attempt)
        shutil.rmtree(own)


def _write_task(own: Path, generator: random.Random) -> None:
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    parts = {"train": ["card", "loan"], "valid": ["cash"], "test": ["rate"]}
    asides = {"label_names.json": {label: f"the {label}" for label in set(LABELS)}, "class_splits.json": {"01": parts}}
    kind = generator.choice(("jsonl", "csv", "json"))
    if kind == "jsonl":
        lines = [json.dumps(replaced(row, generator) if generator.random() < 0.1 else row) for row in rows]
        content = "\n".join(lines).encode("utf-8", "surrogatepass")
        (own / "texts.jsonl").write_bytes(content if generator.random() < 0.5 else damaged(content, generator))
    elif kind == "csv":
        (own / "texts.csv").write_bytes(damaged(_CSV.encode(), generator))
    else:
        (own / "texts.csv").write_text(_CSV)
        name = generator.choice(sorted(asides))
        text = json.dumps(replaced(asides[name], generator)).encode("utf-8", "surrogatepass")
        (own / name).write_bytes(text if generator.random() < 0.7 else damaged(text, generator))


def settings(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """Strange values of the command line."""
    (folder / "texts.csv").write_text(_CSV)
    small = ["shots=1", "ways=2", "queries=1", "episodes=2", "trainable=none", "learner=centroid", "baselines=[]"]
    where = [f"output={folder / 'out'}", "+task=folder", f"task.path={folder}", "classes=all", "strategy=prototypes"]
    encoder = ["encoder=sentence_transformer", f"encoder.model={tiny_encoder(folder / 'tiny')}"]
    while True:
        value = generator.choice(STRANGE)
        typed = value if isinstance(value, str) else json.dumps(value)
        setting = f"{generator.choice(SETTINGS)}={typed}"

        def attempt(setting: str = setting) -> str:
            with contextlib.chdir(folder):
                status = run([*where, *encoder, *small, setting])
            return "read" if status == 0 else "refused" if status == 2 else "fault"

        yield Trial(f"settings {setting[:80]!r}", attempt)
        shutil.rmtree(folder / "out", ignore_errors=True)


def results(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """`results.json` and `episode_accuracies.json` with values of other kinds, for `fewshot report`."""
    (folder / "texts.csv").write_text(_CSV)
    with contextlib.redirect_stdout(io.StringIO()):
        done = run(
            ["+task=folder", f"task.path={folder / 'texts.csv'}", f"output={folder / 'out'}", "learner=centroid"]
        )
    assert done == 0
    (path,) = (folder / "out").rglob("results.json")
    good = {name: json.loads((path.parent / name).read_text()) for name in (path.name, "episode_accuracies.json")}
    own = folder / "own"
    own.mkdir()
    while True:
        changed = generator.choice(sorted(good))
        for name, content in good.items():
            value = replaced(content, generator) if name == changed else content
            (own / name).write_bytes(json.dumps(value).encode("utf-8", "surrogatepass"))
        page = ["-o", str(own / "page.html")] if generator.random() < 0.5 else []

        def attempt(page: list[str] = page) -> str:
            return {0: "read", 2: "refused"}.get(report([str(own), *page]), "fault")

        yield Trial(f"results {changed}", attempt)


def saved(generator: random.Random, folder: Path) -> Iterator[Trial]:
    """The JSON of a saved classifier with other values, under a digest that is right."""
    from fewshot.encoders import SentenceTransformerEncoder

    encoder = SentenceTransformerEncoder(str(tiny_encoder(folder / "tiny")), cache=None)
    FewShotClassifier(encoder=encoder, reject=0.1).fit(TEXTS, LABELS).save_pretrained(folder / "good")
    names = sorted(path.name for path in (folder / "good").glob("*.json"))
    while True:
        shutil.rmtree(folder / "own", ignore_errors=True)
        shutil.copytree(folder / "good", folder / "own")
        name = generator.choice(names)
        try:
            write_sealed(folder / "own" / name, replaced(read_sealed(folder / "good" / name), generator))
        except (ValueError, FewshotError):  # JSON cannot hold it
            continue

        def attempt() -> str:
            classifier = TextClassifier.from_pretrained(folder / "own", encoder)
            classifier.predict(["my card", "a loan"])
            return "read"

        yield Trial(f"saved {name}", attempt)
