"""What is refused: folders that are damaged or forged, and classifiers that cannot be one graph."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fewshot import ExportedClassifier, SentenceTransformerEncoder, TextClassifier
from fewshot.cli.app import main
from fewshot.errors import ConfigError, StorageError
from fewshot.export.description import DESCRIPTION, file_digest
from fewshot.export.engines import names_other_files
from fewshot.storage import read_sealed, write_sealed
from tests.tiny_models import save_sentence_transformer


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def forged(folder: Path, **changes: Any) -> Path:
    """The folder with a description of somebody else's making, whose seal and digests fit."""
    content = read_sealed(folder / DESCRIPTION) | changes
    content["files"] = {name: file_digest(folder / name) for name in content["files"]}
    write_sealed(folder / DESCRIPTION, content)
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        ExportedClassifier.from_pretrained(folder).predict(["heart attack"])
    message = str(caught.value)
    assert message.count("\n") == 0
    assert len(message) < 2000
    return message


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", DESCRIPTION])
def test_damaged_and_absent_files(folder: Path, name: str):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert "not as it was written" in refused(folder) or name == DESCRIPTION
    (folder / name).unlink()
    assert name in refused(folder) or name == DESCRIPTION


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"labels": ["a", "b"]}, r"gave an array of shape \(1, 3\) as logits"),
        ({"labels": "abc"}, "labels is 'abc'"),
        ({"kind": "../onnx"}, "kind is '../onnx'"),
        ({"temperature": 0}, "temperature is '0'"),
        ({"temperature": "1"}, "temperature is '1'"),
        ({"inputs": ["input_ids"]}, "inputs is"),
        ({"thresholds": [0.5]}, "thresholds is"),
        ({"max_length": True}, "max_length is 'True'"),
        ({"format": 99}, "its format is another one than 1"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_forged_descriptions(folder: Path, changes: dict[str, Any], expected: str):
    import re

    assert re.search(expected, refused(forged(folder, **changes)))


def test_a_graph_that_names_other_files(folder: Path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "model.onnx")
    assert not names_other_files(model.SerializeToString())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "../../../../etc/passwd", "offset": "0", "length": "64"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    assert "it names other files" in refused(forged(folder))


def test_external_data_is_found_in_nested_graphs():
    onnx = pytest.importorskip("onnx")
    constant = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    inner = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["c"], value=constant)], "inner", [], [])
    outer = onnx.helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    model = onnx.helper.make_model(onnx.helper.make_graph([outer], "outer", [], []))
    assert names_other_files(model.SerializeToString())


def test_graphs_and_tokenizers_that_are_none(folder: Path):
    whole = (folder / "model.onnx").read_bytes()
    for content in (b"", b"\x00" * 64, b"\xff" * 64, whole[: len(whole) // 2]):
        (folder / "model.onnx").write_bytes(content)
        refused(forged(folder))
    (folder / "model.onnx").write_bytes(whole)
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0"}))
    assert "tokenizer" in refused(forged(folder))


def test_the_folder_holds_no_path_of_this_machine(exported: Path):
    content = (exported / "model.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"site-packages" not in content


def test_what_is_in_the_way_stays(classifier: TextClassifier, tmp_path: Path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(StorageError, match="holds something else"):
        classifier.export(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_an_export_that_fails_leaves_the_old_one(
    classifier: TextClassifier, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from fewshot.export import onnx_file

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx_file, "write_onnx", interrupted)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        classifier.export(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def _in_pieces(classifier: TextClassifier, folder: Path) -> TextClassifier:
    return replace(classifier, encoder=classifier.encoder.reading("chunk"))


def _with_a_prompt(classifier: TextClassifier, folder: Path) -> TextClassifier:
    saved = save_sentence_transformer(folder / "prompt", prompt="heart: ")
    encoder = SentenceTransformerEncoder(str(saved), cache=None, dtype="float32", shallow_layer=1)
    return replace(classifier, encoder=encoder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [(_in_pieces, "reads long texts in pieces"), (_with_a_prompt, "prepares texts in a way of its own")],
)
def test_classifiers_that_cannot_be_one_graph(
    classifier: TextClassifier, tmp_path: Path, change: Callable[..., TextClassifier], expected: str
):
    with pytest.raises(ConfigError, match=expected):
        change(classifier, tmp_path).export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_formats_and_missing_packages(
    classifier: TextClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from fewshot.export import onnx_file

    with pytest.raises(ConfigError, match=r"Got the format 'tflite', expected one of onnx, openvino\."):
        classifier.export(tmp_path / "out", "tflite")
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'fewshot-text\[export\]'"):
        classifier.export(tmp_path / "out")


def test_other_commands_refuse_an_exported_folder(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["export", str(exported), "-o", str(tmp_path / "out")]) == 2
    assert "holds an exported classifier" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"no export\.json"):
        ExportedClassifier.from_pretrained(tmp_path)
