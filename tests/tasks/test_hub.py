"""Data sets of the `datasets` library, here from local folders."""

import json
import sys

import datasets
import pytest

from fewshot.errors import ConfigError, TaskError
from fewshot.resources import shipped
from fewshot.tasks import hub, load_hub
from tests.conftest import rows, write_jsonl


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    monkeypatch.delenv("FEWSHOT_DATA", raising=False)


@pytest.fixture
def data_set(tmp_path):
    """A folder with a train and a test part, labels as class ids with names."""
    folder = tmp_path / "animals_data"
    folder.mkdir()
    names = sorted({row["label"] for row in rows()} | {"oos"})
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    records = [*rows(), {"text": "none of these", "label": "oos"}]
    for part, some in (("train", records[::2]), ("test", records[1::2])):
        datasets.Dataset.from_list(some, features=features).to_parquet(folder / f"{part}.parquet")
    return folder


def test_all_parts_together_make_the_task_with_the_names_of_the_classes(data_set):
    task = load_hub(str(data_set))

    assert task.name == "animals_data"
    assert sorted(task.texts) == sorted([*(row["text"] for row in rows()), "none of these"])
    assert dict(zip(task.texts, (task.classes[label] for label in task.labels), strict=True))["none of these"] == "oos"


def test_labels_that_are_no_class_are_left_out(data_set):
    task = load_hub(str(data_set), leave_out=["oos"])

    assert "oos" not in task.classes
    assert len(task.texts) == 64


def test_strings_are_labels_too(tmp_path):
    content = "".join(f"{row['text']},{row['label']}\n" for row in rows())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("sentence,animal\n" + content)

    task = load_hub(str(tmp_path / "data"), name="animals", text_column="sentence", label_column="animal")

    assert task.name == "animals"
    assert len(task.classes) == 8


def test_a_wrong_column_is_refused_with_those_there_are(data_set):
    with pytest.raises(TaskError, match=r"has no column 'intent'; it has 'text', 'label'\. Set task\.label_column"):
        load_hub(str(data_set), label_column="intent")


def test_unlabelled_rows_are_read_past_and_empty_texts_are_not(monkeypatch):
    records = [*rows(), {"text": "no label", "label": None}]
    monkeypatch.setattr(hub, "_download", lambda *_: {"train": datasets.Dataset.from_list(records)})
    assert "no label" not in load_hub("some/data").texts

    records.append({"text": " ", "label": "bear"})
    with pytest.raises(TaskError, match=r"some/data \(train\), row 65: the text is ' '"):
        load_hub("some/data")


def test_no_data_set_is_said():
    with pytest.raises(ConfigError, match=r"Got no task\.dataset"):
        load_hub(None)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)

    with pytest.raises(TaskError, match=r"pip install 'fewshot-text\[hub\]'"):
        load_hub("some/data")


def test_a_local_folder_wins_over_the_environment_and_that_over_the_hub(tmp_path, monkeypatch):
    write_jsonl(tmp_path / "data" / "banking77", rows())
    write_jsonl(tmp_path / "mine", rows(n_classes=6))
    asked = []
    records = datasets.Dataset.from_list(rows())
    monkeypatch.setattr(hub, "_download", lambda *args: asked.append(args) or {"train": records})

    assert len(load_hub("PolyAI/banking77", name="banking77", path=tmp_path / "mine").classes) == 6
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path / "data"))
    assert len(load_hub("PolyAI/banking77", name="banking77").classes) == 8
    assert asked == []
    monkeypatch.delenv("FEWSHOT_DATA")
    assert load_hub("PolyAI/banking77", "plus", "banking77").name == "banking77"
    assert asked == [("PolyAI/banking77", "plus", None)]


@pytest.mark.parametrize(("name", "split"), [("banking77", "01"), ("clinc150", 5)])
def test_published_splits_and_names_are_used(name, split, monkeypatch):
    published = json.loads((shipped("episodes") / name / "class_splits.json").read_text(encoding="utf-8"))
    wanted = published[f"{int(split):02d}"]
    labels = [label for part in wanted.values() for label in part]
    records = [{"text": f"text {i} of {label}", "label": label} for label in labels for i in range(2)]
    monkeypatch.setattr(hub, "_download", lambda *_: {"train": datasets.Dataset.from_list(records)})

    task = load_hub("some/data", name=name, split=split, published=name)

    assert {part: [task.classes[c] for c in ids] for part, ids in task.parts.items()} == {
        part: sorted(labels) for part, labels in wanted.items()
    }
    assert task.nameless_classes() == []
    assert task.notes == ()
