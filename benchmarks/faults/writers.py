"""Jobs that write one thing: features, a model, a table."""

import contextlib
import csv
import os
from pathlib import Path
from typing import Any

from benchmarks.faults.job import Job, digest, files_of
from benchmarks.faults.materials import TOPICS, texts_of
from fewshot.errors import ConfigError


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


class Exporting(Job):
    """`TextClassifier.export` of one classifier over another, twice in turn."""

    def run(self, folder: Path) -> int:
        """Export the first, and then the second in its place."""
        from fewshot import SentenceTransformerEncoder, TextClassifier

        for path in self.materials.classifiers:
            encoder = SentenceTransformerEncoder(str(self.materials.encoder), cache=None)
            TextClassifier.from_pretrained(path, encoder).export(folder / "exported")
        return 0

    def outcome(self, folder: Path) -> Any:
        """What the exported classifier says, which can be read."""
        from fewshot import ExportedClassifier

        exported = ExportedClassifier.from_pretrained(folder / "exported")
        return exported.description.source, exported.predict_proba(texts_of("card", 5)).round(4).tolist()

    def check(self, folder: Path) -> None:
        """One of the two is there, whole, or none yet."""
        if (folder / "exported").exists():
            self.outcome(folder)


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


class Distilling(Job):
    """`fewshot distill` with a static student, beside its checkpoints."""

    def run(self, folder: Path) -> int:
        """The command line, in this process; a student that is there already is done."""
        from fewshot.cli.app import main

        if (folder / "small").exists():
            return 0
        os.environ["FEWSHOT_CACHE"] = str(folder / "cache")
        os.chdir(folder)
        files = [str(self.materials.classifiers[1]), "-o", "small", "--texts", str(self.materials.new_texts)]
        return main(["distill", *files])

    def outcome(self, folder: Path) -> Any:
        """Labels and logits of the student, which can be read."""
        from fewshot import TextClassifier

        student = TextClassifier.from_pretrained(folder / "small").without_cache()
        return student.labels, digest(student.logits(texts_of("card", 20)).numpy().tobytes())

    def check(self, folder: Path) -> None:
        """A student that has its name is whole."""
        if (folder / "small").exists():
            self.outcome(folder)


class Auditing(Job):
    """The server's audit log, five records at a time; one that cannot be written costs the record alone."""

    is_promised = False
    n_records = 400

    def run(self, folder: Path) -> int:
        """Append the records that the log does not hold."""
        from fewshot.serving.audit import AuditLog, TextDigest

        log = AuditLog(folder / "audit.jsonl", TextDigest(None))
        held = {record["number"] for record in self._records(folder)}
        left = [number for number in range(self.n_records) if number not in held]
        for first in range(0, len(left), 5):
            some = left[first : first + 5]
            log.write([{"kind": "prediction", "number": number, **log.of_text(f"text {number}")} for number in some])
        log.close()
        return 0

    def outcome(self, folder: Path) -> Any:
        """The numbers of all records."""
        return sorted({record["number"] for record in self._records(folder)})

    def check(self, folder: Path) -> None:
        """Each line that can be read is a record as it was written."""
        for record in self._records(folder):
            assert record["text_sha256"] == digest(f"text {record['number']}".encode())

    def _records(self, folder: Path) -> list[dict[str, Any]]:
        from fewshot.serving.audit import read_audit

        path = folder / "audit.jsonl"
        return [record for record in read_audit(path) if record is not None] if path.exists() else []
