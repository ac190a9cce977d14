"""A single file as a task: its name, its columns, and nothing written beside it."""

import json

import pytest

from fewshot.errors import ConfigError, TaskError
from fewshot.resources import shipped
from fewshot.tasks import load_folder, load_hub
from tests.conftest import rows, write_jsonl


def csv_of(path, header="message;category", mark=";"):
    path.parent.mkdir(exist_ok=True)
    lines = [header, *(f"{row['text']}{mark}{row['label']}" for row in rows())]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_file_is_the_task_of_the_folder_that_holds_it(tmp_path):
    folder = load_folder(write_jsonl(tmp_path / "animals", rows()))

    task = load_folder(csv_of(tmp_path / "my.mails.csv"))

    assert task.name == "my.mails"
    assert (task.texts, task.classes, task.sha256, task.stream) == (
        folder.texts,
        folder.classes,
        folder.sha256,
        folder.stream,
    )
    assert not task.has_split
    assert task.notes == (
        "Its columns are separated by ';'.",
        "Columns 'message' and 'category' were taken as text and label.",
    )


def test_nothing_is_written_beside_a_file_or_into_a_folder(tmp_path):
    load_folder(csv_of(tmp_path / "data" / "mails.csv"))
    load_folder(csv_of(tmp_path / "folder" / "texts.csv"))

    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mails.csv"]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["texts.csv"]


def test_files_beside_it_do_not_apply(tmp_path):
    path = csv_of(tmp_path / "data" / "mails.csv")
    split = {"train": ["bear"], "valid": ["crow"], "test": ["deer", "frog"]}
    (path.parent / "class_splits.json").write_text(json.dumps({"01": split, "02": split}))
    (path.parent / "label_names.json").write_text('{"bear": "Brown bear"}')

    task = load_folder(path)

    assert not task.has_split
    assert "Brown bear" not in task.label_names
    with pytest.raises(ConfigError, match=r"mails\.csv' has no class_splits\.json"):
        load_folder(path, split="02")


def test_columns_of_the_usual_names_are_taken_and_others_can_be_named(tmp_path):
    plain = load_folder(csv_of(tmp_path / "a.csv", "text,label", ","))
    named = load_folder(csv_of(tmp_path / "b.csv", "label,text", ","), text_column="label", label_column="text")

    assert plain.sha256 == named.sha256
    assert plain.notes == named.notes == ()
    with pytest.raises(TaskError, match=r"no column 'class'; it has 'text', 'label'.*set task\.label_column\."):
        load_folder(tmp_path / "a.csv", label_column="class")


def test_one_column_named_leaves_the_other_to_be_guessed(tmp_path):
    task = load_folder(csv_of(tmp_path / "a.csv", "remark;category"), text_column="remark")

    assert len(task.classes) == 8


def test_a_folder_may_hold_what_a_file_may(tmp_path):
    task = load_folder(csv_of(tmp_path / "animals" / "texts.csv").parent)

    assert task.name == "animals"
    assert len(task.texts) == 64


def test_a_file_in_place_of_the_hub(tmp_path):
    assert load_hub("some/data", name="mine", path=csv_of(tmp_path / "a.csv")).name == "mine"


def test_the_sample_is_a_task():
    task = load_folder(shipped("samples") / "mails.csv")

    assert (task.name, len(task.texts), len(task.classes)) == ("mails", 40, 5)
    assert task.nameless_classes() == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("animal", r"The task folder 'animal' does not exist\. .*Did you mean animals\? Set task\.path to it\."),
        ("mial.csv", r"mial\.csv does not exist\. .*Did you mean mails\.csv\?"),
        ("/dev/null", "is neither a folder nor a file"),
        ("x" * 5000, "does not exist"),
        ("a\0b", "does not exist"),
        ("-", "does not exist"),
    ],
)
def test_a_path_of_nothing_gets_a_sentence(path, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "animals", rows())
    csv_of(tmp_path / "mails.csv")

    with pytest.raises(TaskError, match=said):
        load_folder(path)


@pytest.mark.parametrize("content", ["[" * 5000, '{"a": ' + "1" * 5000 + "}", b"\xff\xfe"])
def test_json_beside_the_texts_that_cannot_be_read(content, folder):
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "label_names.json").write_bytes(data)

    with pytest.raises(TaskError, match=r"label_names\.json is (nested too deeply|not)"):
        load_folder(folder)
