"""Texts with several labels: what counts as such, and how they are held out in turn."""

import numpy as np
import pandas as pd
import pytest
import torch

from fewshot.episodes.multi_labelled import MultiLabelledTexts, as_array, label_sets
from fewshot.errors import ConfigError, TaskError


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([["a", "b"], "a", ()], [("a", "b"), ("a",), ()]),
        ([{"b", "a"}, {"a"}], [("a", "b"), ("a",)]),
        (["a|b", "a", "b", ""], [("a", "b"), ("a",), ("b",), ()]),
        (["a | b", "a", "b"], [("a", "b"), ("a",), ("b",)]),
        (["a|b", "c"], None),
        (["a|b", "a"], None),
        (["a", "b"], None),
        ([1, 2], None),
        ([(1, 2), (2,)], [(1, 2), (2,)]),
        (np.array([[1, 0], [1, 1], [0, 0]]), [(0,), (0, 1), ()]),
        (pd.DataFrame({"late": [1, 0], "broken": [1, 1]}), [("late", "broken"), ("broken",)]),
        ([["a", "a"], ["a"]], [("a",), ("a",)]),
    ],
)
def test_several_labels_are_seen_in_what_is_given(y, expected):
    assert label_sets(y, "auto") == expected


def test_what_the_user_says_goes_before_what_is_seen():
    assert label_sets(["a|b", "c"], True) == [("a", "b"), ("c",)]
    assert label_sets(["a|b", "a", "b"], False) is None
    with pytest.raises(ConfigError, match=r"multi_label='yes', expected True, False or 'auto'"):
        label_sets(["a"], "yes")
    with pytest.raises(TaskError, match="other values than 0 and 1"):
        label_sets(np.array([[2, 0], [1, 1]]), "auto")


def test_classes_follow_the_sorted_labels_and_names_stand_behind_the_texts():
    support = MultiLabelledTexts.of(["t", "u"], [("b", "a"), ()], {"a": "A", "b": "B", "c": "C"})
    assert support.labels == ("a", "b", "c")
    assert support.classes.int().tolist() == [[1, 1, 0], [0, 0, 0]]
    everything = support.with_names_as_texts()
    assert everything.texts == ["t", "u", "A", "B", "C"]
    assert everything.classes[2:].int().tolist() == torch.eye(3).int().tolist()
    assert support.label_sets() == [("a", "b"), ()]


def test_every_text_is_held_out_once_and_rare_labels_are_spread():
    sets = [("common",)] * 12 + [("common", "rare")] * 4 + [()] * 4
    support = MultiLabelledTexts.of(list(map(str, range(20))), sets)
    folds = support.folds(4, seed=0)
    assert sorted(torch.cat([held for _, held in folds]).tolist()) == list(range(20))
    assert [support.classes[held].sum(0).tolist() for _, held in folds] == [[4, 1]] * 4
    assert {len(held) for _, held in folds} == {5}
    for kept, held in folds:
        assert sorted([*kept.tolist(), *held.tolist()]) == list(range(20))
    assert [held.tolist() for _, held in support.folds(4, seed=0)] == [held.tolist() for _, held in folds]
    assert [held.tolist() for _, held in support.folds(4, seed=1)] != [held.tolist() for _, held in folds]


def test_one_label_is_refused():
    with pytest.raises(TaskError, match=r"Got the labels \['a'\], expected two or more"):
        MultiLabelledTexts.of(["t"], [("a",)])


def test_a_label_that_is_no_label_is_named():
    with pytest.raises(TaskError, match=r"Got the label 0\.5, a float"):
        MultiLabelledTexts.of(["t"], [(0.5, "a")])


def test_tuples_of_equal_length_stay_tuples_in_an_array():
    array = as_array([("a", "b"), ("c", "d")])
    assert array.shape == (2,)
    assert array[1] == ("c", "d")
    assert as_array([("a",), ()], ["b", "a"]).tolist() == [[0, 1], [0, 0]]
