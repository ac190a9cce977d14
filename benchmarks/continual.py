"""Learning on: class-incremental intents without the old texts, and a second domain after a first.

    FEWSHOT_DATA=DIR python -m benchmarks.continual [--parts classes domains] [--tasks clinc150 ...] [--shots 5 10 all]
        [--orders 5] [--systems ...] [--seeds 1]

`classes`: clinc150 comes in 10 tasks of 15 classes, banking77 in 7 of 11, in orders drawn by seed; at a test all
classes so far are told apart, and nothing says which task a text is of.  Tests are 30 texts of each class of clinc150
and 40 of banking77, drawn once; with `clinc150_oos` they are the published part `test`, and supports are of `train`.
A seed draws the order of the classes and the support from the rest, fewer texts the beginning of more.  Of A[t, i], the
accuracy on the test texts of task i after task t,

    final = that of all test texts at the end        average = mean over t of that of the classes so far
    forgetting = mean over i < T of max_t A[t, i] - A[T, i]
    backward transfer = mean over i < T of A[T, i] - A[i, i]

Systems: `prototypes` is `ClassStatistics`, by which `learn_on` goes, with label names and without; `nearest centroid`
has class sums alone; `freeze` and `replay` are `learn_on`, with label names; `sequential fine-tuning` trains a linear
head on the texts of each task in turn; adaptive-classifier 0.3.1 adds its examples as its documentation says (`pip
install --no-deps adaptive-classifier faiss-cpu`: what it requires goes with an older transformers).  All but the last
read the same frozen features.

`domains`: medical_terms, then banking77, 10 texts a class, label names; the encoder is trained on the second domain
with the weights held that the first needs (`ewc`), and without (`fine-tuning`), at the default rate and at five and
ten times that.  Accuracy on texts of the first, among its own labels and among all, before and after; and on texts of
the second.

Nothing was chosen on these test texts: width and prior of the covariance on other texts of both (20 of each class held
out; with `clinc150_oos` some of them are test texts), the strength of `ewc` on sgd_intents, then snips.
"""

import argparse
import importlib.util
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from benchmarks.continual_domains import domains
from benchmarks.record import RESULTS, record
from fewshot import FewShotClassifier, SentenceTransformerEncoder
from fewshot.continual import NewTexts, learn_on
from fewshot.continual.within_class import feature_map
from fewshot.encoders import Encoder
from fewshot.encoders.source import bundled_folder
from fewshot.evaluation import Estimate
from fewshot.fitted.statistics import ClassStatistics
from fewshot.randomness import child_generator
from fewshot.tasks import load_folder
from fewshot.text_classifier import TextClassifier

PUBLISHED = "clinc150_oos"
N_TASKS = {"clinc150": 10, "banking77": 7, PUBLISHED: 10}
SHOTS = ("5", "10", "all")
TEST_TEXTS = {"clinc150": 30, "banking77": 40}
COMMAND = "FEWSHOT_DATA=DIR python -m benchmarks.continual --parts classes"
FIGURES = ("final", "average", "forgetting", "backward transfer")


@dataclass(frozen=True)
class Stream:
    """The tasks of one run, one after the other.

    Args:
        texts: of all classes.
        classes: of the texts.
        labels, names: of the classes.
        steps: the classes of each task.
        support: places of the texts that are learnt.
        tests: places of the test texts.
        encoder: of all systems but the last; its cache has all texts.
    """

    texts: Sequence[str]
    classes: Int[Tensor, " n_texts"]
    labels: Sequence[str]
    names: Sequence[str]
    steps: Sequence[Int[Tensor, " n_step"]]
    support: Int[Tensor, " n_support"]
    tests: Int[Tensor, " n_tests"]
    encoder: Encoder

    def at(self, places: Int[Tensor, " n"], step: int) -> Int[Tensor, " n_at"]:
        """Those of the places that hold texts of the classes of a task."""
        return places[torch.isin(self.classes[places], self.steps[step])]

    def features(self, places: Int[Tensor, " n"]) -> Float[Tensor, "n dim"]:
        """Unit features of texts."""
        return normalize(self.encoder.encode([self.texts[place] for place in places.tolist()]), dim=-1)

    def labelled(self, step: int) -> NewTexts:
        """The texts of a task with their label names."""
        places = self.at(self.support, step)
        texts = [self.texts[place] for place in places.tolist()]
        own = {self.labels[number]: self.names[number] for number in self.steps[step].tolist()}
        return NewTexts(texts, [self.labels[number] for number in self.classes[places].tolist()], own)


Learn = Callable[[int], None]
Predict = Callable[[Int[Tensor, " n"]], Int[Tensor, " n"]]
System = Callable[[Stream], tuple[Learn, Predict]]


def streams(task: str, encoder: Encoder) -> Callable[[int, int | None], Stream]:
    """Seed and texts a class → the run."""
    folder = Path(os.environ["FEWSHOT_DATA"])
    if task == PUBLISHED:
        names = json.loads((folder / "clinc150" / "label_names.json").read_text("utf-8"))
        lines = (folder / "clinc150_oos" / "in_scope.jsonl").read_text("utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["part"] != "val"]
        labels, texts = sorted(names), [row["text"] for row in rows]
        numbers = {label: number for number, label in enumerate(labels)}
        classes = torch.tensor([numbers[row["label"]] for row in rows])
        is_test = torch.tensor([row["part"] == "test" for row in rows])
        own_names = [names[label] for label in labels]
    else:
        loaded = load_folder(folder / task, duplicates="drop")
        labels, texts, classes, own_names = (
            list(loaded.classes),
            list(loaded.texts),
            loaded.labels,
            loaded.label_texts(),
        )
        is_test = torch.zeros(len(texts), dtype=torch.bool)
        generator = torch.Generator().manual_seed(0)
        for number in range(len(labels)):
            members = (classes == number).nonzero().flatten()
            order = torch.randperm(len(members), generator=generator)
            is_test[members[order[: min(TEST_TEXTS[task], len(members) // 2)]]] = True

    def drawn(seed: int, shots: int | None) -> Stream:
        generator = child_generator(seed, "continual/order")
        steps = torch.randperm(len(labels), generator=generator).tensor_split(N_TASKS[task])
        support = []
        for number in range(len(labels)):
            members = ((classes == number) & ~is_test).nonzero().flatten()
            support.append(members[torch.randperm(len(members), generator=generator)][:shots])
        tests = is_test.nonzero().flatten()
        return Stream(texts, classes, labels, own_names, steps, torch.cat(support), tests, encoder)

    return drawn


def measured(stream: Stream, system: System) -> dict[str, float]:
    """The figures of a system on one run, in per cent."""
    learn, predict = system(stream)
    n_tasks = len(stream.steps)
    accuracy, seen = torch.full((n_tasks, n_tasks), float("nan")), []
    for step in range(n_tasks):
        learn(step)
        parts = [stream.at(stream.tests, other) for other in range(step + 1)]
        predicted = predict(torch.cat(parts)).split([len(part) for part in parts])
        hits = [own == stream.classes[part] for own, part in zip(predicted, parts, strict=True)]
        accuracy[step, : step + 1] = torch.stack([own.double().mean() for own in hits])
        seen.append(float(torch.cat(hits).double().mean()))
    old, last = accuracy[:, :-1], accuracy[-1, :-1]
    best = old.nan_to_num(-1).amax(0)
    figures = (
        seen[-1],
        sum(seen) / n_tasks,
        float((best - last).mean()),
        float((last - accuracy.diagonal()[:-1]).mean()),
    )
    return {name: round(100 * value, 3) for name, value in zip(FIGURES, figures, strict=True)}


def statistics(names: bool, scatter: bool = True) -> System:
    """Class statistics of the frozen features; without scatter the nearest centroid."""

    def system(stream: Stream) -> tuple[Learn, Predict]:
        state: dict[str, ClassStatistics] = {}
        dim = stream.features(stream.tests[:1]).shape[1]

        def learn(step: int) -> None:
            places = stream.at(stream.support, step)
            features, classes, own = stream.features(places), stream.classes[places], stream.steps[step]
            if names:
                named = normalize(stream.encoder.encode([stream.names[number] for number in own.tolist()]), dim=-1)
                features, classes = torch.cat([features, named]), torch.cat([classes, own])
            mapped = feature_map(stream.encoder, dim, len(features) / len(own) if scatter else 0)
            if not scatter:
                mapped = replace(mapped, directions=torch.zeros(0, dim), damping=torch.zeros(0))
            mapped = state["all"].feature_map if state else mapped
            every = tuple(range(len(stream.labels)))
            new = ClassStatistics.of(features, classes, every, mapped)
            state["all"] = state["all"] + new if state else new

        def predict(places: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
            found, features = state["all"], stream.features(places)
            if not scatter:
                return (features @ normalize(found.sums, dim=-1).T).argmax(1)
            return found.classifier().logits(features[None])[0].argmax(1)

        return learn, predict

    return system


def learning_on(method: str) -> System:
    """`learn_on`, after a fit to the first task."""

    def system(stream: Stream) -> tuple[Learn, Predict]:
        state: list[TextClassifier] = []

        def learn(step: int) -> None:
            new = stream.labelled(step)
            if state:
                state[0] = learn_on(state[0], new, method)
                return
            first = FewShotClassifier(encoder=stream.encoder, label_names=new.label_names, stage="head")
            state.append(first.fit(new.texts, new.labels).model_)

        return learn, by_label(stream, lambda texts: state[0].predict(texts))

    return system


def by_label(stream: Stream, predict: Callable[[list[str]], Sequence[Any]]) -> Predict:
    """Classes by the labels that are predicted."""
    numbers: Mapping[Any, int] = {label: number for number, label in enumerate(stream.labels)}
    return lambda places: torch.tensor(
        [numbers[label] for label in predict([stream.texts[place] for place in places.tolist()])]
    )


def sequential(stream: Stream) -> tuple[Learn, Predict]:
    """A linear head on frozen features, trained on the texts of each task in turn."""
    dim = stream.features(stream.tests[:1]).shape[1]
    head = nn.Linear(dim, len(stream.labels))
    nn.init.zeros_(head.weight)
    seen = torch.zeros(len(stream.labels), dtype=torch.bool)

    def learn(step: int) -> None:
        seen[stream.steps[step]] = True
        places = stream.at(stream.support, step)
        features, classes = stream.features(places), stream.classes[places]
        optimiser = torch.optim.AdamW(head.parameters(), lr=0.01)
        for _ in range(200):
            optimiser.zero_grad()
            logits = 20 * head(features)
            nn.functional.cross_entropy(logits.masked_fill(~seen, -torch.inf), classes).backward()
            optimiser.step()

    def predict(places: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        with torch.no_grad():
            return head(stream.features(places)).masked_fill(~seen, -torch.inf).argmax(1)

    return learn, predict


def adaptive(stream: Stream) -> tuple[Learn, Predict]:
    """adaptive-classifier."""
    from adaptive_classifier import AdaptiveClassifier

    classifier = AdaptiveClassifier(str(bundled_folder()), device="cpu", use_onnx=False)

    def learn(step: int) -> None:
        new = stream.labelled(step)
        classifier.add_examples(list(new.texts), list(new.labels))

    return learn, by_label(stream, lambda texts: [ranked[0][0] for ranked in classifier.predict_batch(texts, k=1)])


SYSTEMS: dict[str, System] = {
    "prototypes, label names": statistics(names=True),
    "prototypes": statistics(names=False),
    "nearest centroid, label names": statistics(names=True, scatter=False),
    "nearest centroid": statistics(names=False, scatter=False),
    "freeze": learning_on("freeze"),
    "replay": learning_on("replay"),
    "sequential fine-tuning": sequential,
    "adaptive-classifier": adaptive,
}


def main() -> None:
    """Measure what is not there yet, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["classes", "domains"], choices=["classes", "domains"])
    parser.add_argument("--tasks", nargs="+", default=list(N_TASKS), choices=list(N_TASKS))
    parser.add_argument("--shots", nargs="+", default=list(SHOTS), choices=SHOTS)
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1, help="of the part domains")
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    chosen = parser.parse_args()
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    encoder = SentenceTransformerEncoder()
    if "classes" in chosen.parts:
        classes(chosen, encoder)
    if "domains" in chosen.parts:
        domains(encoder, range(chosen.seeds))


def classes(chosen: argparse.Namespace, encoder: Encoder) -> None:
    """The class-incremental part; what was measured is kept, and not measured again."""
    path = RESULTS / "continual.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["runs"] if path.is_file() else []
    for task in chosen.tasks:
        drawn = streams(task, encoder)
        for shots in chosen.shots:
            for name in chosen.systems:
                if name == "adaptive-classifier" and importlib.util.find_spec("adaptive_classifier") is None:
                    continue
                before = len(runs)
                for seed in range(chosen.orders):
                    place = {"task": task, "shots": shots, "system": name, "order": seed}
                    if any(place.items() <= run.items() for run in runs):
                        continue
                    stream = drawn(seed, None if shots == "all" else int(shots))
                    runs.append(place | measured(stream, SYSTEMS[name]))
                    print(*runs[-1].values(), flush=True)
                if len(runs) > before:
                    record("continual", COMMAND, table(runs), runs=runs, encoder=encoder.fingerprint)


def table(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Means over orders with their 95 % intervals."""
    rows = []
    for task, shots, name in dict.fromkeys((run["task"], run["shots"], run["system"]) for run in runs):
        own = [run for run in runs if (run["task"], run["shots"], run["system"]) == (task, shots, name)]
        values = {key: torch.tensor([run[key] for run in own], dtype=torch.double) / 100 for key in FIGURES}
        figures = {key: Estimate.of(value).percent() for key, value in values.items()}
        rows.append({"task": task, "texts a class": shots, "system": name, "orders": str(len(own))} | figures)
    return rows


if __name__ == "__main__":
    main()
