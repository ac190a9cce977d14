"""What happens with malformed input and damaged files: a sentence, the same content, or a fault.

    python -m benchmarks.faults [--parts inputs settings results saved files] [--count 2000] [--seed 0]

Each trial is drawn from the seed. A trial is *refused* if one sentence below 2,000 characters comes (`FewshotError`, or
exit status 2), the *same* if the content is as it was before the damage, *read* if an input is taken as valid, and a
*fault* otherwise: another exception, other content in silence, a control character on the terminal.

    inputs      task files and folders in which parts of JSON, csv and text are replaced, cut off or repeated
    settings    values of the command line
    results     `results.json` and `episode_accuracies.json` with values of other kinds, for `fewshot.report`
    saved       JSON of a saved classifier with other values, under a digest that is right
    files       every file of a saved classifier, meta-model and trained encoder, frozen episodes and cached features:
                cut at each length in turn, or with one bit flipped
"""

import argparse
import contextlib
import copy
import io
import json
import logging
import random
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.record import record
from fewshot import FewShotClassifier, TextClassifier
from fewshot.cli.main import main as run
from fewshot.encoders import FeatureCache, SentenceTransformerEncoder
from fewshot.episodes.frozen import EpisodeRequest, draw, load_episodes, save_episodes
from fewshot.errors import FewshotError
from fewshot.meta_model import MetaModel
from fewshot.report.__main__ import main as report
from fewshot.resources import shipped
from fewshot.storage import read_sealed, write_sealed
from fewshot.tables import guess_columns, open_table
from fewshot.tasks import load_bundled, load_folder

STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 1e308, float("nan"), float("inf"), 10**400, "", "x", "\x1b[31m[/red]", "\ud800"),
    *("a" * 100_000, [], {}, [[]], [None], {"a": {}}, "../../x", "NaN", "9" * 4301),
)
SETTINGS = (
    *("shots", "ways", "queries", "episodes", "seed", "support_noise", "minutes", "baselines", "output", "metric"),
    *("task.path", "task.name", "task.split", "task.min_texts", "task.max_words", "training.steps", "training.ways"),
    *("training.learning_rate", "encoder.max_length", "encoder.shallow_weight", "encoder.cache", "learner.temperature"),
)
TEXTS = [f"{word} number {n}" for word in ("card", "loan", "cash", "rate") for n in range(6)]
LABELS = [text.split()[0] for text in TEXTS]
_CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in zip(TEXTS, LABELS, strict=True))


@dataclass
class Tally:
    """Outcomes of a part, and the first faults in words."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def trial(self, what: str, attempt: Callable[[], str]) -> None:
        """Count one attempt, which gives `read` or `same`, or raises."""
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                outcome = attempt()
            if "\x1b" in said.getvalue() or "Traceback" in said.getvalue():
                outcome = "fault"
        except FewshotError as error:
            outcome = "refused" if len(str(error)) < 2000 else "fault"
        except Exception:
            outcome = "fault"
            said.write(traceback.format_exc(limit=-2))
        self.outcomes[outcome] += 1
        if outcome == "fault" and len(self.faults) < 20:
            self.faults.append(f"{what}: {said.getvalue()[-600:]}")


def replaced(content: Any, generator: random.Random) -> Any:
    """A copy of a JSON value in which one value, at any depth, is a strange one, or is gone."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        keys = list(value) if isinstance(value, dict) else range(min(len(value), 5)) if isinstance(value, list) else ()
        for key in keys:
            places.append((value, key))
            walk(value[key])

    content = copy.deepcopy(content)
    walk(content)
    if not places:
        return generator.choice(STRANGE)
    parent, key = generator.choice(places)
    if isinstance(parent, dict) and generator.random() < 0.2:
        del parent[key]
    else:
        parent[key] = generator.choice(STRANGE)
    return content


def damaged(content: bytes, generator: random.Random) -> bytes:
    """Bytes with a part cut off, repeated, or replaced by bytes that parsers stumble over."""
    start = generator.randrange(len(content) + 1)
    end = min(len(content), start + generator.choice((0, 1, 3, 50)))
    odd = (b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"\n\n", b"[" * 5000, b"9" * 4301, b"\xed\xa0\x80", b",", b"")
    put = generator.choice((*odd, content[start:end] * 2))
    return content[:start] + put + (b"" if generator.random() < 0.2 else content[end:])


def inputs(count: int, generator: random.Random, folder: Path, tally: Tally) -> None:
    """Task files and folders."""
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    parts = {"train": ["card", "loan"], "valid": ["cash"], "test": ["rate"]}
    asides = {"label_names.json": {label: f"the {label}" for label in set(LABELS)}, "class_splits.json": {"01": parts}}
    for number in range(count):
        own = folder / f"{number}"
        own.mkdir()
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

        def attempt(own: Path = own) -> str:
            load_folder(own)
            table = open_table(next(own.glob("texts.*")))
            guess_columns(table, None, None)
            list(table)
            return "read"

        tally.trial(f"inputs {number}", attempt)
        shutil.rmtree(own)


def settings(count: int, generator: random.Random, folder: Path, tally: Tally) -> None:
    """Values of the command line."""
    (folder / "texts.csv").write_text(_CSV)
    small = ["shots=1", "ways=2", "queries=1", "episodes=2", "trainable=none", "learner=centroid", "baselines=[]"]
    for _ in range(count):
        value = generator.choice(STRANGE)
        typed = value if isinstance(value, str) else json.dumps(value)
        setting = f"{generator.choice(SETTINGS)}={typed}"

        def attempt(setting: str = setting) -> str:
            where = [
                f"output={folder / 'out'}",
                "+task=folder",
                f"task.path={folder}",
                "classes=all",
                "strategy=prototypes",
            ]
            status = run([*where, *small, setting])
            return "read" if status == 0 else "refused" if status == 2 else "fault"

        with contextlib.chdir(folder):
            tally.trial(f"settings {setting[:80]!r}", attempt)


def results(count: int, generator: random.Random, folder: Path, tally: Tally) -> None:
    """Results of a run, as the report reads them."""
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
    for number in range(count):
        changed = generator.choice(sorted(good))
        for name, content in good.items():
            value = replaced(content, generator) if name == changed else content
            (own / name).write_bytes(json.dumps(value).encode("utf-8", "surrogatepass"))

        def attempt() -> str:
            arguments = [str(own), *(["-o", str(own / "page.html")] if generator.random() < 0.5 else [])]
            return {0: "read", 2: "refused"}.get(report(arguments), "fault")

        tally.trial(f"results {number}", attempt)


def saved(count: int, generator: random.Random, folder: Path, tally: Tally) -> None:
    """A saved classifier whose JSON says other things, under right digests."""
    FewShotClassifier(encoder=SentenceTransformerEncoder(cache=None), reject=0.1).fit(TEXTS, LABELS).save_pretrained(
        folder / "good"
    )
    names = sorted(path.name for path in (folder / "good").glob("*.json"))
    encoder = SentenceTransformerEncoder(cache=None)
    for number in range(count):
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

        tally.trial(f"saved {number} {name}", attempt)


def _readers(folder: Path) -> Iterator[tuple[str, list[Path], Callable[[], Any]]]:
    """Name, files, and what reads them: equal values for equal content, None for what is made anew."""
    encoder = SentenceTransformerEncoder(cache=None)
    fitted = FewShotClassifier(encoder=encoder, reject=0.1).fit(TEXTS, LABELS)
    fitted.save_pretrained(folder / "classifier")

    def classifier() -> Any:
        found = TextClassifier.from_pretrained(folder / "classifier", encoder)
        return found.labels, found.temperature, found.logits(["my card"]).tolist()

    yield "classifier", _data(folder / "classifier"), classifier
    tuned = FewShotClassifier(encoder=encoder, stage="lora").fit(TEXTS, LABELS)
    tuned.save_pretrained(folder / "lora")
    yield (
        "classifier with LoRA",
        _data(folder / "lora"),
        lambda: TextClassifier.from_pretrained(folder / "lora", encoder).labels,
    )
    from fewshot.learners import AttentionPrototypical

    MetaModel(encoder, AttentionPrototypical(encoder.encode(["a"]).shape[1])).save_pretrained(folder / "meta")

    def meta_model() -> Any:
        found = MetaModel.from_pretrained(folder / "meta", encoder)
        return {name: value.tolist() for name, value in found.learner.state_dict().items()}

    yield "meta-model", _data(folder / "meta"), meta_model
    task = load_bundled("medical_terms")
    save_episodes(folder / "episodes.safetensors", draw(task, EpisodeRequest("test", 3, 2, 2, 5)), task)

    def episodes() -> Any:
        found = load_episodes(folder / "episodes.safetensors", task)
        return None if found is None else found.sha256()

    yield "episodes", [folder / "episodes.safetensors"], episodes
    FeatureCache(folder / "cache", "f").store(["a", "b"], torch.eye(2, 4))

    def cache() -> Any:
        found, missing = FeatureCache(folder / "cache", "f").lookup(["a", "b"])
        return None if missing or found is None else found.tolist()

    yield "cached features", list((folder / "cache").rglob("*.safetensors")), cache


def _data(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors"))


def files(count: int, generator: random.Random, folder: Path, tally: Tally) -> None:
    """Truncated files and flipped bits."""
    readers = list(_readers(folder))
    for name, paths, read in readers:
        good = read()
        each = max(1, count // len(readers) // len(paths))
        for path in paths:
            whole = path.read_bytes()
            step = max(1, 2 * len(whole) // each)
            for cut in range(0, len(whole), step):
                path.write_bytes(whole[:cut])
                tally.trial(f"files {name}, {path.name} cut at {cut}", partial(_same, read, good))
            for _ in range(each // 2):
                bit = generator.randrange(8 * len(whole))
                changed = bytearray(whole)
                changed[bit // 8] ^= 1 << bit % 8
                path.write_bytes(changed)
                tally.trial(f"files {name}, {path.name} bit {bit}", partial(_same, read, good))
            path.write_bytes(whole)


def _same(read: Callable[[], Any], good: Any) -> str:
    found = read()
    return "refused" if found is None else "same" if found == good else "fault"


PARTS = {"inputs": inputs, "settings": settings, "results": results, "saved": saved, "files": files}


def measured(parts: list[str], count: int, seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each part, and the first faults in words."""
    logging.disable(logging.CRITICAL)
    rows, faults = list[dict[str, Any]](), list[str]()
    for name in parts:
        tally = Tally()
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](count, random.Random(f"{seed}/{name}"), Path(folder), tally)
        trials = sum(tally.outcomes.values())
        found = {outcome: tally.outcomes[outcome] for outcome in ("refused", "same", "read", "fault")}
        rows.append({"part": name, "trials": trials, **found})
        faults += tally.faults
    logging.disable(logging.NOTSET)
    return rows, faults


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--count", type=int, default=2000, help="trials of each part")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows, faults = measured(chosen.parts, chosen.count, chosen.seed)
    for fault in faults:
        print(fault)
    record("faults", f"python -m benchmarks.faults --count {chosen.count} --seed {chosen.seed}", rows, seed=chosen.seed)


if __name__ == "__main__":
    assert shipped("samples").is_dir()
    main()
