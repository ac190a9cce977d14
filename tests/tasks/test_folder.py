"""Task folders: names, splits that stay, duplicates, small classes."""

import json

import pytest

from fewshot.errors import ConfigError, TaskError
from fewshot.tasks import load_bundled, load_folder, normalise
from fewshot.tasks.folder import data_folder
from tests.conftest import ANIMALS, rows, write_jsonl


def parts(task):
    return {part: [task.classes[c] for c in ids] for part, ids in task.parts.items()}


def test_texts_labels_and_names(folder):
    task = load_folder(folder)

    assert task.name == "animals"
    given = {row["text"]: row["label"] for row in rows()}
    assert {text: task.classes[c] for text, c in zip(task.texts, task.labels.tolist(), strict=True)} == given
    assert task.classes == task.label_names == tuple(sorted(ANIMALS[:8]))
    assert task.descriptions == task.synonyms == task.notes == ()
    assert repr(task) == "Task('animals', 64 texts, 4/2/2 classes in train/valid/test)"


def test_classes_too_few_to_split_are_loaded_and_no_split_is_kept(tmp_path):
    task = load_folder(write_jsonl(tmp_path, rows(n_classes=2)))

    assert {part: len(ids) for part, ids in task.parts.items()} == {"train": 0, "valid": 0, "test": 2}
    assert not (tmp_path / "class_splits.json").exists()  # with more classes it will be another one


def test_label_names_with_and_without_descriptions(folder):
    (folder / "label_names.json").write_text(
        json.dumps({"bear": {"name": "Brown bear", "description": "a large mammal"}, "crow": " Carrion crow "})
    )

    task = load_folder(folder)

    names = dict(zip(task.classes, task.label_texts(), strict=True))
    assert names["bear"] == "Brown bear: a large mammal"
    assert names["crow"] == "Carrion crow"
    assert names["deer"] == "deer"


def test_an_underscore_in_a_label_is_read_as_a_space(tmp_path):
    task = load_folder(write_jsonl(tmp_path, [row | {"label": f"a_{row['label']}"} for row in rows()]))

    assert task.classes[0] == "a_bear"
    assert task.label_names[0] == "a bear"


def test_a_name_for_a_class_without_texts_is_noted(folder):
    (folder / "label_names.json").write_text(json.dumps({"baer": "Bear"}))

    (note,) = load_folder(folder).notes

    assert note.startswith("1 classes in label_names.json have no texts: 'baer'.")


def test_numbers_have_no_name(tmp_path):
    task = load_folder(write_jsonl(tmp_path, [row | {"label": ord(row["label"][0])} for row in rows()]))

    assert task.nameless_classes() == list(task.classes)
    assert "98" in task.classes


def test_a_split_is_made_by_the_labels_alone_and_nothing_is_written(plain_folder):
    made = load_folder(plain_folder)

    assert not made.has_split
    assert [path.name for path in plain_folder.iterdir()] == ["texts.jsonl"]
    (plain_folder / "class_splits.json").write_text(json.dumps({"01": parts(made)}))
    assert not load_folder(plain_folder).has_split  # earlier versions saved it unasked


def test_neither_names_nor_the_order_of_rows_make_another_task(tmp_path):
    one = load_folder(write_jsonl(tmp_path / "mails", rows()))
    other = load_folder(write_jsonl(tmp_path / "post", rows()[::-1]))

    assert (one.texts, one.stream, one.sha256) == (other.texts, other.stream, other.sha256)
    assert one.name != other.name


def test_a_saved_split_wins_over_the_hash(folder):
    wanted = {"train": ["bear", "crow", "deer", "frog"], "valid": ["goat", "hare"], "test": ["lynx", "moth"]}
    (folder / "class_splits.json").write_text(json.dumps({"01": wanted}))

    assert parts(load_folder(folder)) == wanted


def test_a_split_stays_when_texts_and_classes_are_added(folder):
    before = load_folder(folder)
    write_jsonl(folder, rows(n_classes=10, n_texts=12))

    after = load_folder(folder)

    assert parts(after) == parts(before)
    (note,) = after.notes
    assert note.startswith("2 classes in no part of the class split are not used: 'newt', 'seal'.")


@pytest.mark.parametrize("split", ["02", 2])
def test_a_split_is_chosen_by_text_or_number(split, folder):
    first = {"train": ["bear", "crow"], "valid": ["deer", "frog"], "test": ["goat", "hare"]}
    second = {"train": ["goat", "hare"], "valid": ["deer", "frog"], "test": ["bear", "crow"]}
    (folder / "class_splits.json").write_text(json.dumps({"01": first, "02": second}))

    task = load_folder(folder, split=split)

    assert task.split == "02"
    assert parts(task)["test"] == ["bear", "crow"]


def test_a_text_twice_in_a_class_is_kept_once_and_noted(folder):
    write_jsonl(folder, [*rows(), rows()[0] | {"text": rows()[0]["text"].upper()}])

    task = load_folder(folder)

    assert len(task.texts) == 64
    assert task.notes == ("1 texts that stood twice were left out (0 of them in two classes).",)


def test_a_text_in_two_classes_is_refused_or_dropped_with_all_its_rows(folder):
    write_jsonl(folder, [*rows(), rows()[0] | {"label": "crow"}])

    with pytest.raises(TaskError, match="stands under two classes: 'bear'"):
        load_folder(folder)
    task = load_folder(folder, duplicates="drop")
    assert rows()[0]["text"] not in task.texts
    assert len(task.texts) == 63
    assert task.notes == ("1 texts that stood twice were left out (1 of them in two classes).",)


def test_nothing_is_left_of_a_task_whose_every_text_is_in_two_classes(tmp_path):
    write_jsonl(tmp_path, [{"text": "same", "label": "a"}, {"text": "same", "label": "b"}])

    with pytest.raises(TaskError, match="no texts"):
        load_folder(tmp_path, duplicates="drop")


def test_small_classes_are_left_out_and_noted(folder):
    write_jsonl(folder, [*rows(), {"text": "one more newt", "label": "newt"}])

    task = load_folder(folder, min_texts=2)

    assert "newt" not in task.classes
    assert task.notes == ("1 classes with fewer than 2 texts were left out: newt.",)


def test_a_small_class_may_stand_in_the_split(folder):
    split = {"train": ["bear", "newt"], "valid": ["deer", "frog"], "test": ["goat", "hare"]}
    (folder / "class_splits.json").write_text(json.dumps({"01": split}))
    write_jsonl(folder, [*rows(), {"text": "one more newt", "label": "newt"}])

    assert parts(load_folder(folder, min_texts=2))["train"] == ["bear"]


def test_the_longest_text_accepted_is_as_long_as_the_setting_says(folder):
    write_jsonl(folder, [*rows(), {"text": " ".join(["w"] * 20), "label": "bear"}])

    assert len(load_folder(folder, max_words=20).texts) == 65
    with pytest.raises(TaskError, match=r"has 20 words, expected at most task\.max_words=19"):
        load_folder(folder, max_words=19)


@pytest.mark.parametrize("path", [None, ""])
def test_no_path_is_said(path):
    with pytest.raises(ConfigError, match=r"Got no task\.path"):
        load_folder(path)


def test_home_is_expanded(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))

    assert load_folder("~/animals").name == "animals"


def test_the_hash_of_a_task_changes_with_texts_labels_and_split(folder):
    before = load_folder(folder).sha256
    assert load_folder(folder, name="other").sha256 == before

    write_jsonl(folder, [rows()[0] | {"text": "a changed bear"}, *rows()[1:]])
    assert load_folder(folder).sha256 != before

    write_jsonl(folder, [rows()[0] | {"label": "crow"}, *rows()[1:]])
    assert load_folder(folder).sha256 != before

    write_jsonl(folder, rows())
    splits = json.loads((folder / "class_splits.json").read_text(encoding="utf-8"))["01"]
    splits["train"], splits["test"] = splits["test"], splits["train"]
    (folder / "class_splits.json").write_text(json.dumps({"01": splits}))
    assert load_folder(folder).sha256 != before


def test_parts_of_the_bundled_task_are_disjoint():
    task = load_bundled("medical_terms")

    ids = [c for part in task.parts.values() for c in part]
    assert len(ids) == len(set(ids)) == len(task.classes)
    assert len({normalise(text) for text in task.texts}) == len(task.texts)


def test_the_data_folder_is_that_of_the_environment(tmp_path, monkeypatch):
    (tmp_path / "banking77").mkdir()

    monkeypatch.delenv("FEWSHOT_DATA", raising=False)
    assert data_folder("banking77") is None
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))
    assert data_folder("banking77") == tmp_path / "banking77"
    assert data_folder("clinc150") is None


def test_a_split_that_is_made_has_one_id(tmp_path):
    write_jsonl(tmp_path, rows())
    with pytest.raises(ConfigError, match=r"task.split=02, but .* has no class_splits.json"):
        load_folder(tmp_path, split="02")
    assert not (tmp_path / "class_splits.json").exists()
