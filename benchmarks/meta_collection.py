"""Make the adapters that ship, and measure what meta-training on other data sets is worth.

    FEWSHOT_DATA=DIR python -m benchmarks.meta_collection --sources DIR --text DIR [--trainings general ...]
        [--part valid | test] [--ship]

A LoRA of MiniLM is meta-trained on several data sets, each episode within one of them, with label names; a term keeps
the frozen encoder's neighbourhoods among the texts of the episode and unlabelled lines. The loss is that of the
embedding; scored, as everywhere else, is the default encoder, with its shallow layer beside it. Trainings are those of
the shipped adapters and, for each source, `without:SOURCE`: all the others (`intents:without:SOURCE`: the other
intents; `without:wordnet`: both of WordNet left out). They are kept in `--out`; a training that was stopped goes on
from its last checkpoint.

Each data set is scored by the nearest centroid with label names: frozen, by the training on all others, and by
`general`, which has seen its train classes; 5-way 1-shot and 5-shot, and all classes at once with one text each, 600
episodes (100), 5 queries a class, at most 40 texts of a class, class split 01. Sources are scored on classes that no
training sees; snips, which is too small for that, on all of its classes, but only where it was left out. bank_bot and
failure_modes are in no training. Settings and the advised strength were chosen with `--part valid`: valid classes of
left-out sources. The best step is chosen on the valid classes of the sources that are trained on.

`--ship` writes `general`, `intents` and `terms` to weights/adapters, with these figures in their cards.
"""

import argparse
import gzip
import json
import logging
import os
import random
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from torch.nn.functional import normalize

from benchmarks.experiments import default_encoder, load
from benchmarks.record import record, show_rows
from fewshot.bank import AdapterCard, AdapterSource, StoredAdapter, write_adapter
from fewshot.encoders import Encoder, LoRA
from fewshot.encoders.trained import TrainedWeights, read_trained, write_trained
from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.sampler import sample_episodes
from fewshot.evaluation import Estimate, predict
from fewshot.evaluation.metrics import accuracy
from fewshot.experiment import adapter_training
from fewshot.experiment.episodes import valid_episodes
from fewshot.experiment.protocol import Protocol
from fewshot.features import TaskFeatures
from fewshot.learners import Centroid, Prototypical
from fewshot.randomness import child_generator
from fewshot.resources import shipped
from fewshot.storage import write_json
from fewshot.tasks import Task, collect, load_folder
from fewshot.tasks.task import ClassPools
from fewshot.training import Store

LICENCES = {
    "snips": "CC0 1.0",
    "wordnet_terms": "WordNet 3.1 licence",
    "wordnet_glosses": "WordNet 3.1 licence",
    "banking77": "CC BY 4.0",
    "clinc150": "CC BY 3.0",
    "medical_terms": "MeSH, U.S. National Library of Medicine, see episodes/medical_terms",
}
SOURCES = tuple(LICENCES)
INTENTS = ("snips", "banking77", "clinc150")
TERMS = ("wordnet_terms", "wordnet_glosses", "medical_terms")
ADAPTERS = {"general": SOURCES, "intents": INTENTS, "terms": TERMS}
SUMMARIES = {
    "general": "For short texts of any kind: terms, definitions, requests.",
    "intents": "For what people ask of a service or an assistant.",
    "terms": "For terms and definitions.",
}
LEFT_OUT = (*SOURCES, "wordnet")
TRAININGS = (*ADAPTERS, *(f"without:{name}" for name in LEFT_OUT), *(f"intents:without:{name}" for name in INTENTS[1:]))
UNSEEN = ("bank_bot", "failure_modes")  # scored, in no training
OWN_FOLDERS = ("snips", "wordnet_terms", "wordnet_glosses")
TEXT_FILES = ("wordnet", "medquad", "biomedical_sentences", "tatoeba_en")  # permissive ones
STRENGTHS = (0.25, 0.5, 1.0)
ASKED = {"5w1s": (5, 1, 600), "5w5s": (5, 5, 600), "all1s": (None, 1, 100)}
MAX_TEXTS, QUERIES, LINES = 40, 5, 4_000
TRAINER = replace(adapter_training.TRAINER, interpolation=(1.0,), checkpoint_seconds=120.0)  # all of the update
SEED = 0


@dataclass(frozen=True)
class Trained:
    """A training: its name, sources, weights, and what `training.json` in its folder says."""

    name: str
    sources: tuple[str, ...]
    weights: TrainedWeights
    about: Mapping[str, Any]


def main() -> None:
    """Train what is not there yet, score it, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, required=True, help="folder of the task folders of SOURCES")
    parser.add_argument("--text", type=Path, required=True, help="folder of NAME.txt.gz, unlabelled")
    parser.add_argument("--out", type=Path, default=Path("outputs") / "meta_collection")
    parser.add_argument("--trainings", nargs="+", default=TRAININGS)
    parser.add_argument("--steps", type=int, default=TRAINER.steps)
    parser.add_argument("--part", choices=["valid", "test", "none"], default="test", help="classes that are scored")
    parser.add_argument("--strengths", nargs="+", type=float, default=list(STRENGTHS))
    parser.add_argument("--ship", action="store_true", help="write the adapters to weights/adapters")
    parser.add_argument("--advise", nargs="+", default=[], help="NAME=STRENGTH for the cards of --ship")
    parser.add_argument("--name", default="meta_collection", help="name of the file in benchmarks/results")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("fewshot").setLevel(logging.INFO)
    os.environ["META_SOURCES"] = str(chosen.sources)
    encoder = default_encoder()
    trained = [train(name, encoder.replace(shallow_layer=None), chosen) for name in chosen.trainings]
    if chosen.part == "none":
        return
    runs = [run for one in trained for run in score(one, encoder, chosen.part, chosen.strengths)]
    rows = table(runs)
    if chosen.part == "valid":
        show_rows("valid classes", rows)
        return
    places = {str(place): "DIR" for place in (chosen.sources, chosen.text, chosen.out)}
    typed = [places.get(word, word) for word in sys.argv[1:]]
    command = shlex.join(["FEWSHOT_DATA=DIR", "python", "-m", "benchmarks.meta_collection", *typed])
    record(chosen.name, command, rows, trainings=[{"name": one.name, **one.about} for one in trained], runs=runs)
    if chosen.ship:
        advised = dict(pair.split("=") for pair in chosen.advise)
        for one in trained:
            if one.name in ADAPTERS:
                ship(one, runs, encoder, float(advised.get(one.name, 1)), command)


@cache
def source(name: str) -> Task:
    """A data set; the test classes of snips are too few to be scored, and are trained on."""
    if name not in OWN_FOLDERS:
        return load(name)
    task = load_folder(Path(os.environ["META_SOURCES"]) / name, name, duplicates="drop")
    if name != "snips":
        return task
    train = tuple(sorted(task.parts["train"] + task.parts["test"]))
    return replace(task, parts={**task.parts, "train": train, "test": ()})


def sources_of(training: str) -> tuple[str, ...]:
    """The sources of a training by its name: `general`, `without:snips`, `intents:without:banking77`."""
    group, without, _ = training.rpartition("without:")
    everything = ADAPTERS[(group.rstrip(":") or "general") if without else training]
    return tuple(name for name in everything if name not in left_out(training))


def left_out(training: str) -> list[str]:
    """The sources that a training leaves out: `without:wordnet` both that begin so."""
    _, without, start = training.rpartition("without:")
    return [name for name in SOURCES if without and name.startswith(start)]


def train(name: str, encoder: Encoder, chosen: argparse.Namespace) -> Trained:
    """Train on the sources of a training, or read what is there."""
    folder, sources = chosen.out / name.replace(":", "_"), sources_of(name)
    if (folder / "training.json").is_file():
        return Trained(name, sources, read_trained(folder), json.loads((folder / "training.json").read_text("utf-8")))
    task, started = collect({source_name: source(source_name) for source_name in sources}), time.perf_counter()
    trainer = replace(TRAINER, steps=chosen.steps, target=str(unlabelled(chosen.text, chosen.out)))
    store = Store(checkpoints=chosen.out / "checkpoints", resume=True)
    found = trainer.fit(
        encoder,
        LoRA(),
        Prototypical,
        task,
        valid_episodes(task, Protocol(ways=5, shots=1), trainer.valid_texts),
        label_names=True,
        seed=SEED,
        files=store.files(name.replace(":", "_"), {"task": task.sha256, "training": trainer.determining()}),
    )
    assert found.encoder.trained is not None, f"No step of {name} gained anything on its valid classes."
    write_trained(folder, found.encoder.trained, encoder.settings())
    pools = dict(zip(task.sources, trainer.train_pools(task), strict=True))
    about = {
        "seed": SEED,
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "best_step": found.history.best_step,
        "valid": {step: round(100 * value, 2) for step, value in found.history.valid_accuracies.items()},
        "settings": trainer.determining(),
        "sources": {name: [len(own.classes), int(own.sizes.sum())] for name, own in pools.items()},
        "digest": found.encoder.trained.digest,
    }
    write_json(folder / "training.json", about)
    return Trained(name, sources, read_trained(folder), about)


def unlabelled(folder: Path, out: Path) -> Path:
    """A file of lines of 3 to 16 words, as many of each text file, drawn by the seed."""
    path = out / "unlabelled.jsonl"
    if not path.is_file():
        generator, lines = random.Random(SEED), list[str]()
        for name in TEXT_FILES:
            with gzip.open(folder / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
                fitting = [line for line in file.read().splitlines() if 3 <= len(line.split()) <= 16]
            lines += generator.sample(fitting, LINES // len(TEXT_FILES))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
    return path


def pools_of(task: Task, part: str) -> ClassPools:
    """The classes that are scored: of a part, and of small tasks all."""
    ids = range(len(task.classes)) if task.name in ("snips", *UNSEEN) else task.parts[part]  # type: ignore[index]
    return ClassPools.from_labels(task.labels, ids, task.classes).thinned(MAX_TEXTS)


def hits(task: Task, pools: ClassPools, encoder: Encoder, episodes: Mapping[str, EpisodeBatch]) -> dict[str, Any]:
    """Accuracy of each episode, by the nearest centroid with label names."""
    used = pools.members[pools.members >= 0]
    rows = normalize(encoder.encode([*(task.texts[place] for place in used.tolist()), *task.label_texts()]), dim=-1)
    texts = rows.new_zeros(len(task.texts), rows.shape[1]).index_copy_(0, used, rows[: len(used)])
    features, learner = TaskFeatures(texts, rows[len(used) :]), Centroid(rows.shape[1])
    return {asked: accuracy(predict(learner, features, own), own.targets) for asked, own in episodes.items()}


def score(one: Trained, encoder: Encoder, part: str, strengths: Sequence[float]) -> list[dict[str, Any]]:
    """Every data set that says something of a training: what it has not seen, and for adapters unseen classes."""
    names = left_out(one.name) or [name for name in SOURCES if name != "snips" or name not in one.sources]
    names += [] if part == "valid" or one.name.count(":") > 1 else UNSEEN
    runs = []
    for name in names:
        task = source(name)
        pools = pools_of(task, part)
        episodes = {
            asked: sample_episodes(
                pools,
                count,
                ways or len(pools.classes),
                shots,
                QUERIES,
                child_generator(SEED, f"{name}/{part}/{asked}"),
            )
            for asked, (ways, shots, count) in ASKED.items()
        }
        before = hits(task, pools, encoder, episodes)
        for strength in strengths:
            weights = one.weights.rounded().at_strength(strength)
            after = hits(task, pools, encoder.with_trained(weights), episodes)
            run: dict[str, Any] = {"training": one.name, "scored": name, "strength": strength, "part": part}
            run |= {"seen": name in one.sources, "classes": len(pools.classes)}
            for asked in ASKED:
                gain = Estimate.of(after[asked] - before[asked])
                run[asked] = {
                    "frozen": 100 * float(before[asked].mean()),
                    "trained": 100 * float(after[asked].mean()),
                    "gain": 100 * gain.mean,
                    "ci95": 100 * (gain.ci95 or 0.0),
                }
            runs.append(run)
            print(one.name, name, strength, *(f"{run[asked]['gain']:+.2f}" for asked in ASKED), flush=True)
    return runs


def table(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each training and strength on each data set, then the means over data sets."""
    rows = [
        {
            "scored": run["scored"],
            "training": run["training"],
            "its train classes": "seen" if run["seen"] else "not seen",
            "strength": run["strength"],
            **{asked: f"{run[asked]['trained']:.1f}" for asked in ASKED},
            **{f"{asked} gain": f"{run[asked]['gain']:+.1f} ± {run[asked]['ci95']:.1f}" for asked in ASKED},
        }
        for run in sorted(runs, key=lambda run: (run["scored"], run["training"], run["strength"]))
    ]
    for strength in sorted({run["strength"] for run in runs}):
        own = [run for run in runs if run["strength"] == strength and run["training"] == f"without:{run['scored']}"]
        if own:
            means = {f"{asked} gain": f"{statistics.mean(run[asked]['gain'] for run in own):+.2f}" for asked in ASKED}
            lowest = {asked: f"lowest {min(run[asked]['gain'] for run in own):+.2f}" for asked in ASKED}
            rows.append(
                {"scored": f"mean of {len(own)}", "training": "all others", "its train classes": "not seen"}
                | {"strength": strength, **lowest, **means}
            )
    return rows


def ship(one: Trained, runs: Sequence[Mapping[str, Any]], encoder: Encoder, strength: float, command: str) -> None:
    """Write an adapter with its card: gains where the data set was left out, else on classes that it has not seen."""
    prefix, gains = "" if one.name == "general" else f"{one.name}:", dict[str, dict[str, tuple[float, float]]]()
    fitting = [run for run in runs if run["strength"] == strength]
    for name in (*SOURCES, *UNSEEN):
        own = {run["training"]: run for run in fitting if run["scored"] == name}
        if found := own.get(f"{prefix}without:{name}", own.get(one.name)):
            gains[name] = {
                asked: (round(found[asked]["frozen"], 1), round(found[asked]["trained"], 1)) for asked in ASKED
            }
    counts = one.about["sources"]
    card = AdapterCard(
        name=one.name,
        summary=SUMMARIES[one.name],
        licence="Apache-2.0, with the notices of its sources in NOTICE.md",
        sources=tuple(AdapterSource(name, LICENCES[name], *counts[name]) for name in one.sources),
        strength=strength,
        training={"command": command, **{key: one.about[key] for key in ("seed", "best_step", "settings", "digest")}},
        gains=gains,
    )
    write_adapter(shipped("weights") / "adapters" / one.name, StoredAdapter(card, one.weights), encoder.settings())


if __name__ == "__main__":
    main()
