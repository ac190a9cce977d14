"""SetFit beside the tuned head: all classes at once, the same weights, texts and machine; accuracy and seconds.

    FEWSHOT_DATA=DIR python -m benchmarks.peers [--tasks banking77 ...] [--shots 1 ...] [--seeds 0 ...] [--threads 1]

77 classes of banking77 and 150 of clinc150, bundled MiniLM, nothing meta-trained.  The test part is the same in all
runs: 40 texts of each class, or half of the smallest class where that is less.  A seed is one draw of the support
from the rest, fewer shots the beginning of more.  Intervals (95 %, Student's t) are over seeds, and differences are
paired by seed.

SetFit (Tunstall et al. 2022, https://arxiv.org/abs/2209.11055) has its own defaults with a logistic head: one epoch of
pairs in batches of 16, 2e-5 for the body.  One thing is set: `num_iterations`, which is 20 at one text per class, the
paper's R, and 5 from four on, so 40 to 10 pairs for each text: at 20 the largest support takes an hour and a half of
one processor, and at its default of today, every pair at least once, days.  It has no use for label names, so ours is
measured with and without them.

Seconds are from weights on disk to predicted classes, imports apart: loading, training or tuning, all encoding (our
cache is off), predicting.  Ours in its defaults: the shallow layer, and bfloat16 where the processor has it, as SetFit
stays in float32, its default.  Both have the same threads, and ours is measured right before SetFit in one process.

Runs are kept in `benchmarks/results/NAME.json`, after each support, and not measured again, so that a long run can be
stopped and gone on with.  A file holds runs of one machine, one set of versions and settings; where the code has
changed, move the file away.  Processor seconds stand beside those of the clock, for machines that others use as well.
The aim: not lower anywhere, higher on average, in a twentieth of SetFit's time.
"""

import argparse
import dataclasses
import importlib.metadata
import importlib.util
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.experiments import composed, default_encoder
from benchmarks.peer_runs import Run, kept, table
from benchmarks.record import RESULTS, machine, record
from fewshot.adaptation import HeadTuner
from fewshot.cli.build import build
from fewshot.encoders import Encoder
from fewshot.encoders.precision import resolve_device
from fewshot.encoders.source import bundled_folder
from fewshot.episodes import EpisodeBatch, LabelledTexts
from fewshot.episodes.frozen import fixed_test_episodes
from fewshot.errors import ConfigError, FewshotError
from fewshot.resources import versions
from fewshot.tasks import Task

TASKS, SHOTS, SEEDS, TEST_TEXTS = ("banking77", "clinc150"), (1, 5, 10), (0, 1, 2), 40
PEER, NAMED, NAMELESS = "SetFit", "tuned head + names", "tuned head"
SYSTEMS = (NAMED, NAMELESS, PEER)
SETFIT = {"batch_size": 16, "num_epochs": 1}
ITERATIONS, FEWEST_ITERATIONS = 20, 5  # of SetFit's pairs: at one text per class, and in any case


@dataclass(frozen=True)
class Problem:
    """What is labelled, and what is to be classified.

    Args:
        support: with label names; who has no use for them leaves them.
        tests: texts of the test part.
        targets: the class of each.
        seed: for whatever the system draws.
    """

    support: LabelledTexts
    tests: list[str]
    targets: Int[Tensor, " n_tests"]
    seed: int

    @classmethod
    def of(cls, task: Task, episode: EpisodeBatch, seed: int) -> "Problem":
        """The problem that an episode of all classes poses."""
        shown, asked = episode.support[episode.support_mask].tolist(), episode.query.flatten().tolist()
        texts, classes, names = [task.texts[index] for index in shown], task.labels[shown], tuple(task.label_texts())
        support = LabelledTexts(texts, classes, task.classes, names)
        return cls(support, [task.texts[index] for index in asked], task.labels[asked], seed)


def main() -> None:
    """Measure what is not there yet, and record."""
    chosen = arguments()
    if PEER in chosen.systems:
        check_installed()
    logging.getLogger("fewshot").setLevel(logging.WARNING)
    os.environ["RAYON_NUM_THREADS"] = str(chosen.threads)  # tokenizers
    torch.set_num_threads(chosen.threads)
    tasks = {name: build(composed(f"+task={name}"), "task") for name in chosen.tasks}
    encoder = default_encoder("encoder.cache=null")
    settings, runs = kept(RESULTS / f"{chosen.name}.json", settings_of(tasks, encoder, chosen.systems))
    import_quietly(chosen.systems)
    encoder.load()  # for what it imports; each run loads anew
    contestants = {name: system for name, system in systems(encoder).items() if name in chosen.systems}
    # Seeds first: where a long run is stopped, the table is whole with fewer seeds.
    places = [(seed, shots, name) for seed in chosen.seeds for shots in chosen.shots for name in tasks]
    for seed, shots, name in places:
        problem = Problem.of(tasks[name], episode_of(tasks[name], shots, seed), seed)
        with threadpool_limits(chosen.threads):  # BLAS, which scikit-learn goes through
            new = measure({"task": name, "shots": shots, "seed": seed}, problem, contestants, runs)
        runs += new
        if new or (seed, shots, name) == places[-1]:  # the table, even if all of it was there
            record(chosen.name, "python -m benchmarks.peers", table(runs, PEER), settings=settings, runs=runs)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--shots", nargs="+", type=int, default=SHOTS, help="labelled texts per class")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="draws of the support, from 0")
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each system; default: all cores")
    parser.add_argument("--name", default="peers", help="name of the file in benchmarks/results")
    chosen = parser.parse_args(words)
    if min(chosen.shots) < 1 or min(chosen.seeds) < 0 or chosen.threads < 1:
        parser.error("expected shots and threads of 1 or more, and seeds of 0 or more")
    return chosen


def check_installed(package: str = "setfit") -> None:
    """Refuse to begin where the peer is missing.

    Raises:
        ConfigError: says how to install it.
    """
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"The peer {package!r} is not installed. Run `pip install -c constraints.txt -e '.[peers]'`, or "
            f"leave it out with --systems {NAMED!r} {NAMELESS!r}."
        )


def import_quietly(names: Sequence[str]) -> None:
    """Import what the systems import when they first run, so that it is in nobody's time; without their bars."""
    import sentence_transformers  # noqa: F401
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    if PEER in names:
        import datasets
        from setfit import logging as setfit_logging

        datasets.disable_progress_bars()
        setfit_logging.set_verbosity_error()


def systems(encoder: Encoder) -> dict[str, Callable[[Problem], Int[Tensor, " n_tests"]]]:
    """All contestants by name, in the order in which they are measured."""
    return {
        NAMED: lambda problem: tuned_head(encoder, problem, problem.support),
        NAMELESS: lambda problem: tuned_head(encoder, problem, dataclasses.replace(problem.support, label_names=None)),
        PEER: setfit,
    }


def tuned_head(encoder: Encoder, problem: Problem, support: LabelledTexts) -> Int[Tensor, " n_tests"]:
    """The class that ours predicts for each test text."""
    fresh = encoder.replace()  # it has loaded nothing yet
    return HeadTuner().fit(fresh, support, seed=problem.seed).logits(problem.tests).argmax(1)


def setfit(problem: Problem) -> Int[Tensor, " n_tests"]:
    """The class that SetFit predicts for each test text."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments
    from transformers import ProgressCallback

    texts = {"text": list(problem.support.texts), "label": problem.support.classes.tolist()}
    quiet = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no", "show_progress_bar": False}
    with tempfile.TemporaryDirectory() as folder:
        model = SetFitModel.from_pretrained(str(bundled_folder()))
        iterations = max(FEWEST_ITERATIONS, ITERATIONS // int(problem.support.counts.max()))
        own = TrainingArguments(output_dir=folder, seed=problem.seed, num_iterations=iterations, **quiet, **SETFIT)
        trainer = Trainer(model=model, args=own, train_dataset=Dataset.from_dict(texts))
        trainer.remove_callback(ProgressCallback)
        trainer.train()
    return torch.as_tensor(model.predict(problem.tests, use_labels=False))


def measure(
    place: Mapping[str, Any],
    problem: Problem,
    contestants: Mapping[str, Callable[[Problem], Int[Tensor, " n_tests"]]],
    runs: Iterable[Run],
) -> list[Run]:
    """Accuracy and seconds of each contestant on one support, where `runs` does not have them yet."""
    there = [run["system"] for run in runs if place.items() <= run.items()]
    new = []
    for system, predict in contestants.items():
        if system in there:
            continue
        started, processor = time.perf_counter(), time.process_time()
        predicted = predict(problem)
        seconds = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - processor}
        accuracy = float((predicted == problem.targets).double().mean())
        new.append({**place, "system": system, "accuracy": accuracy, **{k: round(v, 3) for k, v in seconds.items()}})
        print(*new[-1].values(), flush=True)
    return new


def episode_of(task: Task, shots: int, seed: int) -> EpisodeBatch:
    """All classes, the test part, and the support that a seed draws."""
    return fixed_test_episodes(task, range(len(task.classes)), None, shots, TEST_TEXTS, seed + 1)[seed]


def settings_of(tasks: Mapping[str, Task], encoder: Encoder, names: Sequence[str]) -> dict[str, Any]:
    """All that the runs of one file have in common."""
    settings: dict[str, Any] = {
        "test_texts": TEST_TEXTS,
        "encoder": {"model": encoder.model, "fingerprint": encoder.fingerprint},
        "head": dataclasses.asdict(HeadTuner()),
        "device": resolve_device("auto").type,
        "machine": machine(),
        "versions": versions(),
    }
    if PEER in names:
        iterations = {"iterations": ITERATIONS, "fewest_iterations": FEWEST_ITERATIONS}
        settings[PEER] = SETFIT | iterations | {"version": importlib.metadata.version("setfit")}
    for name, task in tasks.items():
        settings[name] = {"sha256": task.sha256, "first_episode_sha256": episode_of(task, 1, 0).sha256()}
    return json.loads(json.dumps(settings))  # as the file will give it back


if __name__ == "__main__":
    try:
        main()
    except FewshotError as error:
        sys.exit(str(error))
