"""Folds of own texts: every text once in each repeat, whatever the sizes of the classes."""

from collections import Counter

import pytest
import torch

from fewshot.episodes.cross_validation import FOLDS, REPEATS, cross_validation, kept_of
from fewshot.errors import TaskError
from fewshot.tables import Row
from fewshot.tasks.assemble import Cleaned, build_task


def task_of(sizes, name="mails"):
    rows = [Row(f"text {i} of {label}", label, (), "") for label, size in sizes.items() for i in range(size)]
    return build_task(name, Cleaned(tuple(rows), (), ()), split=None, split_id="01")


def drawn(sizes, shots=1000, **more):
    task = task_of(sizes)
    return task, cross_validation(task, range(len(task.classes)), shots, **more)


@pytest.mark.parametrize("sizes", [{"a": 10, "b": 10}, {"a": 30, "b": 5, "c": 2}, {"a": 7, "b": 3, "c": 1}])
def test_each_text_is_held_out_once_in_each_repeat_and_learned_from_in_the_other_folds(sizes):
    task, folds = drawn(sizes)
    assert len(folds.episodes) == FOLDS * REPEATS
    several = [i for i, label in enumerate(task.labels.tolist()) if list(sizes.values())[label] > 1]
    assert folds.tested.tolist() == several
    for repeat in range(REPEATS):
        held = folds.episodes[repeat * FOLDS : (repeat + 1) * FOLDS].query
        assert sorted(held[held >= 0].tolist()) == several
    for number in range(len(folds.episodes)):
        one = folds.episodes[number]
        support, query = (set(part[part >= 0].tolist()) for part in (one.support, one.query))
        assert support | query == set(range(len(task.texts)))
        assert not support & query
        for way, label in enumerate(one.classes[0].tolist()):
            both = torch.cat([one.support[0, way], one.query[0, way]])
            assert {int(task.labels[text]) for text in both.tolist() if text >= 0} == {label}


def test_a_small_class_leaves_one_out_and_a_fold_of_a_large_one_a_fifth():
    _task, folds = drawn({"a": 30, "b": 3})
    held = (folds.episodes.query >= 0).sum(-1)
    assert set(held[:, 0].tolist()) == {6}
    assert Counter(held[:FOLDS, 1].tolist()) == {1: 3, 0: 2}
    assert [kept_of(size) for size in (30, 7, 5, 3, 2, 1)] == [24, 5, 4, 2, 1, 1]


def test_repeats_differ_and_names_and_the_order_of_rows_do_not_matter():
    _task, folds = drawn({"a": 12, "b": 12})
    assert not torch.equal(folds.episodes[:FOLDS].query, folds.episodes[FOLDS : 2 * FOLDS].query)
    other = task_of({"b": 12, "a": 12}, name="post")
    assert cross_validation(other, range(2), 1000).episodes.sha256() == folds.episodes.sha256()


def test_shots_bound_the_support_and_half_of_it_is_its_beginning():
    _, folds = drawn({"a": 12, "b": 4}, shots=5)
    assert set(folds.episodes.support_mask.sum(-1)[:, 0].tolist()) == {5}
    half = folds.with_half().episodes
    assert set(half.support_mask.sum(-1)[:, 0].tolist()) == {3}
    assert torch.equal(half.support[:, 0, :3], folds.episodes.support[:, 0, :3])
    assert torch.equal(half.query, folds.episodes.query)


def test_one_text_of_each_class_cannot_be_tested():
    with pytest.raises(TaskError, match="No class of the task 'mails' has two texts"):
        drawn({"a": 1, "b": 1})
