"""The split of classes: disjoint, complete, the same everywhere."""

import subprocess
import sys

import pytest

from fewshot.errors import TaskError
from fewshot.tasks.splits import check_split, choose_split, make_split

LABELS = [f"class {i}" for i in range(40)]


def test_parts_are_disjoint_and_complete_and_from_six_classes_on_each_can_fill_an_episode():
    for n_classes in range(4, 41):
        split = make_split(LABELS[:n_classes])

        assert sorted(label for part in split.values() for label in part) == sorted(LABELS[:n_classes])
        assert min(map(len, split.values())) >= (2 if n_classes >= 6 else 1)


@pytest.mark.parametrize(
    ("n_classes", "sizes"), [(4, [1, 1, 2]), (5, [2, 1, 2]), (6, [2, 2, 2]), (10, [6, 2, 2]), (40, [24, 8, 8])]
)
def test_sizes_are_60_20_20_where_they_can_be(n_classes, sizes):
    split = make_split(LABELS[:n_classes])

    assert [len(split[part]) for part in ("train", "valid", "test")] == sizes


@pytest.mark.parametrize("n_classes", [2, 3])
def test_two_or_three_classes_are_all_there_is_to_score(n_classes):
    assert make_split(LABELS[:n_classes]) == {"train": [], "valid": [], "test": LABELS[:n_classes]}


def test_order_of_the_labels_does_not_matter():
    assert make_split(LABELS) == make_split(LABELS[::-1])


def test_another_process_splits_the_same():
    code = "from fewshot.tasks.splits import make_split; print(make_split([f'class {i}' for i in range(40)])['test'])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "1"}
    )

    assert out.stdout.strip() == str(make_split(LABELS)["test"])


def test_a_split_is_chosen_by_its_id():
    splits = {
        "01": {"train": ["a"], "valid": ["b"], "test": ["c"]},
        "02": {"train": ["c"], "valid": ["b"], "test": [1]},
    }

    assert choose_split(splits, "02", "class_splits.json") == {"train": ["c"], "valid": ["b"], "test": ["1"]}


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ([], "expected to map split ids"),
        ({"01": ["a"]}, "expected to map split ids"),
        ({}, "has no split '01'; it has none"),
        ({"01": {"train": "abc", "valid": ["b"], "test": ["c"]}}, "no classes for train"),
        ({"01": {"train": ["a"], "valid": [], "test": ["c"]}}, "no classes for valid"),
    ],
)
def test_a_damaged_file_is_refused(splits, words):
    with pytest.raises(TaskError, match=words):
        choose_split(splits, "01", "class_splits.json")


def test_a_class_in_two_parts_is_refused():
    with pytest.raises(TaskError, match="class 'b' is in train and in test"):
        check_split({"train": ["a", "b"], "valid": ["c"], "test": ["b"]}, ["a", "b", "c"], "class_splits.json")


def test_a_class_without_texts_is_refused():
    with pytest.raises(TaskError, match=r"class 'x' in valid has no texts \(1 such classes\)"):
        check_split({"train": ["a"], "valid": ["x"], "test": ["b"]}, ["a", "b", "c"], "class_splits.json")
