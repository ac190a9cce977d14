"""Everything in the package that writes files, as small jobs: how each is run, and what it leaves."""

import contextlib
import csv
import hashlib
import json
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.faults.materials import TOPICS, Materials, texts_of
from fewshot.errors import ConfigError


@dataclass(frozen=True)
class Job(ABC):
    """One thing that writes files below a folder; each method but `run` is for the process of the harness.

    A new room adds a subclass here and an instance to `JOBS`.
    """

    materials: Materials
    is_promised: ClassVar[bool] = True  # whether an exit status of 0 promises the outcome

    @property
    def name(self) -> str:
        """In words."""
        return type(self).__name__

    @abstractmethod
    def run(self, folder: Path) -> int:
        """Do it, or go on with it; gives the exit status."""

    @abstractmethod
    def outcome(self, folder: Path) -> Any:
        """What it left, as values that are equal if the work is; raises where something is missing or damaged."""

    def prepare(self, folder: Path) -> None:
        """Write what is there before the first run."""
        return

    def check(self, folder: Path) -> None:
        """Raise if a file that has its name is not whole; called after a kill and after a failure."""
        return

    def check_numbers(self, folder: Path, said: str) -> None:
        """Raise if numbers were computed, and are neither in a file nor in what the job said."""
        return


class Run(Job):
    """`python -m fewshot.run` with a tiny encoder."""

    settings: ClassVar[tuple[str, ...]] = ()

    def arguments(self, folder: Path) -> list[str]:
        """What is typed behind `python -m fewshot.run`."""
        return [
            *("task=folder", f"task.path={self.materials.task}", f"output={folder / 'out'}"),
            *("encoder=sentence_transformer", f"encoder.model={self.materials.encoder}"),
            *(f"encoder.cache={folder / 'cache'}", "classes=test", "ways=2", "shots=2", "queries=3", "episodes=20"),
            *self.settings,
        ]

    def run(self, folder: Path) -> int:
        """The command line, in this process."""
        from fewshot.cli.main import main

        return main(self.arguments(folder))

    def outcome(self, folder: Path) -> Any:
        """Numbers and weights of the newest run that has results."""
        path = max((folder / "out").rglob("results.json"), key=lambda path: path.stat().st_mtime_ns)
        return numbers(path), files_of(path.parent, "*.safetensors")

    def check(self, folder: Path) -> None:
        """All results that are there are whole."""
        for path in (folder / "out").rglob("results.json"):
            numbers(path)

    def check_numbers(self, folder: Path, said: str) -> None:
        """The table is shown, or there are results, if episodes were evaluated."""
        if "Evaluating on" in said and "\u2502" not in said:
            assert list((folder / "out").rglob("results.json")), f"the numbers are lost: {said[-1000:]}"


class MetaTraining(Run):
    """Meta-training of a learner with a checkpoint at each evaluation."""

    settings: ClassVar[tuple[str, ...]] = (
        *("resume=true", "learner=prototypical", "trainable=none", "baselines=[centroid]", "augment=none"),
        *("training.steps=60", "training.evaluate_every=5", "training.patience=99", "training.checkpoint_seconds=0"),
    )


class EncoderTraining(Run):
    """Meta-training of the encoder by LoRA with checkpoints."""

    settings: ClassVar[tuple[str, ...]] = (
        *("resume=true", "learner=centroid", "trainable=lora", "baselines=[]", "augment=none"),
        *("encoder_training.steps=20", "encoder_training.evaluate_every=4", "encoder_training.checkpoint_seconds=0"),
    )


class FinalStage(Run):
    """LoRA tuned on each support, with checkpoints."""

    settings: ClassVar[tuple[str, ...]] = (
        *("resume=true", "learner=centroid", "trainable=none", "baselines=[]", "augment=none", "strategy=lora"),
        *("shots=6", "supports=2", "adaptation.lora.checkpoint_seconds=0", "adaptation.lora.steps=20"),
        *("adaptation.lora.margin=0", "minutes=60"),
    )


class Sweep(Run):
    """A sweep over seeds."""

    settings: ClassVar[tuple[str, ...]] = (
        "-m",
        "seed=0,1,2",
        "learner=prototypical",
        "trainable=none",
        "baselines=[]",
        "training.steps=10",
    )

    def outcome(self, folder: Path) -> Any:
        """Numbers and weights of each seed, which all runs of it share."""
        found: dict[int, list[Any]] = {}
        for path in sorted((folder / "out").rglob("results.json")):
            if (path.parent / "meta_model.json").is_file():
                one = [numbers(path), files_of(path.parent, "*.safetensors")]
                found.setdefault(one[0]["seed"], []).append(one)
        assert all(one == same[0] for same in found.values() for one in same)
        return {seed: same[0] for seed, same in found.items()}


class CacheFilling(Job):
    """Encoding of texts into a cache, 40 at a time; one that cannot be written costs time alone."""

    is_promised = False

    def run(self, folder: Path) -> int:
        """Encode."""
        from fewshot.encoders import encoder as module

        module.CHUNK = 40
        features = self._encoder(folder).encode(self._texts())
        return 0 if bool(features.isfinite().all()) else 1

    def outcome(self, folder: Path) -> Any:
        """Features of the cache alone, which has all."""
        encoder = self._encoder(folder)
        features = encoder.encode(self._texts())
        assert encoder.n_encoded == 0, f"{encoder.n_encoded} texts are not in the cache"
        return digest(features.numpy().tobytes())

    def check(self, folder: Path) -> None:
        """What is in the cache is right."""
        from fewshot.encoders import FeatureCache, SentenceTransformerEncoder

        encoder = SentenceTransformerEncoder(str(self.materials.encoder), cache=None)
        found, missing = FeatureCache(folder / "cache", encoder.fingerprint).lookup(self._texts())
        if found is not None:
            there = [place for place in range(len(found)) if place not in set(missing)]
            right = encoder.encode(self._texts())
            assert (found[there] - right[there]).abs().max() < 1e-5, "a row in the cache is wrong"

    def _encoder(self, folder: Path) -> Any:
        from fewshot.encoders import SentenceTransformerEncoder

        return SentenceTransformerEncoder(str(self.materials.encoder), cache=folder / "cache")

    def _texts(self) -> list[str]:
        return [text for topic in TOPICS for text in texts_of(topic, 50)]


class Saving(Job):
    """`save_pretrained` of one classifier over another, 20 times in turn."""

    def prepare(self, folder: Path) -> None:
        """The first of two classifiers is there."""

        self._read(self.materials.classifiers[0]).save_pretrained(folder / "saved")

    def run(self, folder: Path) -> int:
        """Save the first and the second in turn."""
        both = [self._read(path) for path in self.materials.classifiers]
        for number in range(20):
            both[number % 2].save_pretrained(folder / "saved")
        return 0

    def outcome(self, folder: Path) -> Any:
        """The files of the classifier, which can be read."""
        self._read(folder / "saved")
        return files_of(folder / "saved")

    def check(self, folder: Path) -> None:
        """One of the two is there, whole."""
        self._read(folder / "saved")
        assert files_of(folder / "saved") in [files_of(path) for path in self.materials.classifiers]

    def _read(self, path: Path) -> Any:
        from fewshot import SentenceTransformerEncoder, TextClassifier

        return TextClassifier.from_pretrained(path, SentenceTransformerEncoder(str(self.materials.encoder), cache=None))


class SavingMetaModel(Job):
    """`MetaModel.save_pretrained` of one model over another, 10 times in turn, file by file."""

    def run(self, folder: Path) -> int:
        """Save the first and the second in turn."""
        for number in range(10):
            self._model(number % 2).save_pretrained(folder / "model")
        return 0

    def outcome(self, folder: Path) -> Any:
        """The second."""
        return self._found(folder)

    def check(self, folder: Path) -> None:
        """One of the two is there, or it is said that there is none: never one from parts of both."""
        with contextlib.suppress(ConfigError):
            assert self._found(folder) in [self._described(self._model(number)) for number in (0, 1)]

    def _model(self, number: int) -> Any:
        from fewshot import MetaModel, Prototypical, SentenceTransformerEncoder

        encoder = SentenceTransformerEncoder(str(self.materials.encoder), cache=None)
        return MetaModel(encoder, Prototypical(encoder.encode(["a"]).shape[1], scale=5.0 + number))

    def _found(self, folder: Path) -> Any:
        from fewshot import MetaModel, SentenceTransformerEncoder

        encoder = SentenceTransformerEncoder(str(self.materials.encoder), cache=None)
        return self._described(MetaModel.from_pretrained(folder / "model", encoder))

    def _described(self, model: Any) -> Any:
        state = {name: digest(tensor.numpy().tobytes()) for name, tensor in model.learner.state_dict().items()}
        return model.learner.arguments, state


class Fit(Job):
    """`fewshot fit` over an earlier classifier."""

    def prepare(self, folder: Path) -> None:
        """An earlier classifier is there."""
        import shutil

        shutil.copytree(self.materials.classifiers[0], folder / "mails")

    def run(self, folder: Path) -> int:
        """The command line, in this process."""
        from fewshot.cli.app import main

        os.environ["FEWSHOT_CACHE"] = str(folder / "cache")
        table = str(self.materials.task / "texts.csv")
        how = ["--encoder", str(self.materials.encoder), "--stage", "prototypes"]
        return main(["fit", table, "-o", str(folder / "mails"), *how])

    def outcome(self, folder: Path) -> Any:
        """The tensors of the classifier, which can be read."""
        self.check(folder)
        assert (folder / "mails" / "report.html").is_file()
        return digest((folder / "mails" / "classifier.safetensors").read_bytes())

    def check(self, folder: Path) -> None:
        """A classifier is there."""
        from fewshot import SentenceTransformerEncoder, TextClassifier

        encoder = SentenceTransformerEncoder(str(self.materials.encoder), cache=None)
        TextClassifier.from_pretrained(folder / "mails", encoder).predict(["card lost"])


class Predict(Job):
    """`fewshot predict -o out.csv --resume`, 40 rows at a time."""

    def run(self, folder: Path) -> int:
        """The command line, in this process."""
        from fewshot.cli import predicting
        from fewshot.cli.app import main

        predicting.BLOCK = 40
        files = [str(self.materials.classifiers[1]), str(self.materials.new_texts)]
        return main(["predict", *files, "-o", str(folder / "out.csv"), "--resume"])

    def outcome(self, folder: Path) -> Any:
        """All bytes."""
        return digest((folder / "out.csv").read_bytes())

    def check(self, folder: Path) -> None:
        """Complete rows, in the order of the input; a torn last one may be left by a kill."""
        if (folder / "out.csv").exists():
            content = (folder / "out.csv").read_bytes()
            rows = list(csv.reader(content[: content.rfind(b"\n") + 1].decode().splitlines()))[1:]
            assert [row[0] for row in rows] == [str(number) for number in range(len(rows))]
            assert all(len(row) == 7 for row in rows)


class Repair(Job):
    """`fewshot check --fix -o clean.csv`."""

    def run(self, folder: Path) -> int:
        """The command line, in this process."""
        from fewshot.cli.app import main

        os.environ["FEWSHOT_CACHE"] = str(folder / "cache")
        table = str(self.materials.task / "texts.csv")
        written = ["--fix", "-o", str(folder / "clean.csv"), "--overwrite"]
        return main(["check", table, "--encoder", str(self.materials.encoder), *written])

    def outcome(self, folder: Path) -> Any:
        """All bytes."""
        return digest((folder / "clean.csv").read_bytes())


KINDS: tuple[type[Job], ...] = (
    MetaTraining,
    EncoderTraining,
    FinalStage,
    Sweep,
    CacheFilling,
    Saving,
    SavingMetaModel,
    Fit,
    Predict,
    Repair,
)


def jobs(materials: Materials) -> list[Job]:
    """A job of each kind."""
    return [kind(materials) for kind in KINDS]


_OF_THE_PROCESS = ("timings", "peak_memory_mb", "texts_encoded", "overrides", "command", "settings_sha256")


def numbers(path: Path) -> dict[str, Any]:
    """The content of `results.json` that is equal for equal work."""
    content = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in content.items() if name not in _OF_THE_PROCESS}
    return _without_seconds(kept)


def _without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_seconds(one) for name, one in value.items() if "seconds" not in name}
    return [_without_seconds(one) for one in value] if isinstance(value, list) else value


def files_of(folder: Path, pattern: str = "*") -> dict[str, str]:
    """Digests of the files below a folder, by path."""
    files = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in files}


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
