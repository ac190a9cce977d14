"""An exported classifier says what the one says that it is of, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fewshot import ExportedClassifier, TextClassifier
from fewshot.export.card import example
from tests.export.conftest import QUERIES

WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "sentence_transformers", "sklearn", "scipy", "peft"):
            raise ModuleNotFoundError(f"no {name}")

sys.meta_path.insert(0, Absent())
"""


def test_equal_probabilities_labels_and_rejections(classifier: TextClassifier, exported: Path):
    loaded = ExportedClassifier.from_pretrained(exported)
    assert loaded.labels == classifier.labels
    np.testing.assert_allclose(loaded.predict_proba(QUERIES), classifier.predict_proba(QUERIES).numpy(), atol=1e-5)
    np.testing.assert_allclose(loaded.logits(QUERIES), classifier.logits(QUERIES).numpy(), atol=1e-4)
    assert loaded.predict(QUERIES) == classifier.predict(QUERIES)
    rejected = [one.rejected for one in loaded.predictions(QUERIES)]
    assert rejected == [one.rejected for one in classifier.predictions(QUERIES)]
    assert {True, False} == set(rejected)
    assert loaded.predict([]) == list(loaded.predictions([])) == []


def test_a_text_does_not_depend_on_those_beside_it(exported: Path):
    loaded = ExportedClassifier.from_pretrained(exported)
    alone = np.concatenate([loaded.logits([text]) for text in QUERIES])
    np.testing.assert_allclose(loaded.logits(QUERIES), alone, atol=1e-5)


def test_cut_texts_are_reported_once(exported: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    from fewshot.export import runtime

    monkeypatch.setattr(runtime, "_reported", set())
    loaded = ExportedClassifier.from_pretrained(exported)
    for _ in range(2):
        loaded.predict(QUERIES)
    assert [record.message.split(",")[0] for record in caplog.records] == [
        "1 texts are longer than the 24 tokens that the classifier reads"
    ]


def test_texts_are_checked(exported: Path):
    loaded = ExportedClassifier.from_pretrained(exported)
    with pytest.raises(TypeError, match="got one text"):
        loaded.predict("heart")
    assert len(loaded.predict(["half \ud83d of a pair"])) == 1


def test_predict_command_without_torch(classifier: TextClassifier, exported: Path, tmp_path: Path):
    table = tmp_path / "new.csv"
    table.write_text("text\nlost card account\nheart\n", encoding="utf-8")
    program = WITHOUT + "from fewshot.cli.app import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "predict", str(exported), str(table), "-o", str(tmp_path / "out.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    expected = list(classifier.predictions(["lost card account", "heart"]))
    assert [row["label"] for row in rows] == [None if one.rejected else one.label for one in expected]
    assert [row["probability"] for row in rows] == [f"{one.probability:.4f}" for one in expected]


def test_the_example_in_the_readme(classifier: TextClassifier, exported: Path, tmp_path: Path):
    assert example("onnx") in (exported / "README.md").read_text(encoding="utf-8")
    assert len(example("onnx").splitlines()) <= 40
    program = tmp_path / "classify.py"
    program.write_text(WITHOUT + example("onnx"), encoding="utf-8")
    texts = [text for text in QUERIES if text.strip()]
    done = subprocess.run([sys.executable, program, exported, *texts], capture_output=True, text=True, check=True)
    found = [line.split("\t") for line in done.stdout.splitlines()]
    expected = list(classifier.predictions(texts))
    assert [row[1:] for row in found] == [
        ["none of the labels" if one.rejected else one.label, f"{one.probability:.4f}"] for one in expected
    ]


@pytest.mark.slow
def test_in_an_environment_without_torch(classifier: TextClassifier, exported: Path, tmp_path: Path):
    root = Path(__file__).parents[2]
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    packages = ["numpy", "tokenizers", "onnxruntime", "lazy-loader", "jaxtyping", "typer"]
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    installed = subprocess.run([*pip, "-c", root / "constraints.txt", *packages], capture_output=True, check=False)
    if installed.returncode:
        pytest.skip("no package index to install from")
    subprocess.run([*pip, "--no-deps", root], check=True, capture_output=True)
    table = tmp_path / "new.csv"
    table.write_text("text\nlost card account\n", encoding="utf-8")
    command = [python.parent / "fewshot", "predict", exported, table]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    (expected,) = classifier.predictions(["lost card account"])
    label = "" if expected.rejected else expected.label
    assert done.stdout.splitlines()[1].startswith(f"lost card account,{label},{expected.probability:.4f},")
    absent = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert absent.returncode == 1
