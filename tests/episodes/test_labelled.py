"""Labelled texts: what is accepted, and what is held out of them."""

import json

import numpy as np
import pytest
import torch

from fewshot.episodes import LabelledTexts
from fewshot.errors import TaskError

SIZES = [1, 2, 3, 5, 10]


def uneven(names=True):
    classes = torch.arange(len(SIZES)).repeat_interleave(torch.tensor(SIZES))
    classes = classes[torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))]
    labels = tuple(f"label {c}" for c in range(len(SIZES)))
    return LabelledTexts([f"text {n}" for n in range(len(classes))], classes, labels, labels if names else None)


def test_classes_follow_the_labels_in_the_order_of_their_names():
    support = LabelledTexts.of(["a", "b", "c"], ["y", "x", "y"], {"x": "ex", "y": "why", "z": "zed"})
    assert support.labels == ("x", "y", "z")
    assert support.classes.tolist() == [1, 0, 1]
    assert support.label_names == ("ex", "why", "zed")
    assert support.counts.tolist() == [1, 2, 0]


def test_arrays_and_columns_are_as_good_as_lists():
    listed = LabelledTexts.of(["a", "b", "c"], [7, 3, 7])
    for texts, labels in (
        (np.array(["a", "b", "c"]), np.array([7, 3, 7])),
        (np.array(["a", "b", "c"], dtype=object), torch.tensor([7, 3, 7])),
    ):
        given = LabelledTexts.of(texts, labels)
        assert given.labels == listed.labels == (3, 7)
        assert json.dumps(given.labels) == "[3, 7]"
        assert given.classes.tolist() == listed.classes.tolist() == [1, 0, 1]
        assert list(given.texts) == listed.texts
    assert LabelledTexts.of(["a", "b"], ["x", 2]).labels == (2, "x")


@pytest.mark.parametrize("label", [None, 1.5, float("nan"), ("a", "b")])
def test_a_label_that_a_file_cannot_hold_is_refused(label):
    with pytest.raises(TaskError, match=r"Got the label .*expected a string or a whole number"):
        LabelledTexts.of(["a", "b"], ["x", label])


def test_names_stand_behind_the_texts_as_one_more_of_their_class():
    support = LabelledTexts.of(["a", "b"], ["y", "x"], {"x": "ex", "y": "why"})
    everything = support.with_names_as_texts()
    assert list(everything.texts) == ["a", "b", "ex", "why"]
    assert everything.classes.tolist() == [1, 0, 0, 1]
    assert everything.label_names is None
    assert everything.with_names_as_texts() is everything


@pytest.mark.parametrize(("share", "held"), [(0.2, [0, 1, 1, 1, 2]), (0.5, [0, 1, 2, 2, 5]), (0.99, [0, 1, 2, 4, 9])])
def test_a_share_of_each_class_is_held_out(share, held):
    support = uneven()
    kept, out = support.held_out(share, seed=0)
    assert torch.cat([kept, out]).sort().values.tolist() == list(range(sum(SIZES)))
    assert support.subset(out).counts.tolist() == held


def test_no_more_of_a_class_is_held_out_than_is_asked_for():
    _, out = uneven().held_out(0.5, seed=0, max_texts=2)
    assert uneven().subset(out).counts.tolist() == [0, 1, 2, 2, 2]


def test_what_is_held_out_follows_the_seed():
    first, again, other = (uneven().held_out(0.5, seed)[1] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_each_text_is_in_one_fold_and_classes_are_spread_over_folds():
    support = uneven()
    folds = support.folds(3, seed=0)
    held = torch.cat([out for _, out in folds])
    lonely = (support.classes == 0).nonzero().flatten()
    assert sorted(held.tolist() + lonely.tolist()) == list(range(sum(SIZES)))
    for kept, out in folds:
        assert sorted(kept.tolist() + out.tolist()) == list(range(sum(SIZES)))
        counts = support.subset(out).counts
        assert counts[0] == 0
        assert all(size // 3 <= count <= -(-size // 3) for count, size in zip(counts[2:], SIZES[2:], strict=True))
        assert support.subset(kept).counts.min() >= 1


@pytest.mark.parametrize(
    ("texts", "classes", "labels", "names", "said"),
    [
        (["a"], [0, 1], ("x", "y"), None, "1 texts with 2 classes"),
        (["a", "b"], [0, 0], ("x",), None, r"\['x'\], expected two or more"),
        (["a", "b"], [0, 2], ("x", "y"), None, "outside 0 to 1"),
        (["a", "b"], [0, 0], ("x", "y"), None, "'y' has no text and no label name"),
        (["a", "b"], [0, 1], ("x", "y"), ("ex",), "1 label names for 2 labels"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(texts, classes, labels, names, said):
    with pytest.raises(TaskError, match=said):
        LabelledTexts(texts, torch.tensor(classes), labels, names)


def test_a_label_without_a_name_is_refused():
    with pytest.raises(TaskError, match="'y' has no label name"):
        LabelledTexts.of(["a", "b"], ["x", "y"], {"x": "ex"})


def test_copies_of_a_text_stay_together():
    texts = ["a", "b", "A ", "c", "d", "b", "a", "e", "e"]
    support = LabelledTexts(texts, torch.tensor([0, 0, 0, 0, 1, 0, 1, 2, 2]), ("x", "y", "z"))
    for seed in range(5):
        splits = [*support.folds(3, seed), support.held_out(0.4, seed)]
        assert len(splits) >= 3
        for kept, held in splits:
            known = {(texts[row].strip().lower(), int(support.classes[row])) for row in kept.tolist()}
            assert held.numel()
            assert known.isdisjoint((texts[row].strip().lower(), int(support.classes[row])) for row in held.tolist())
            assert {7, 8} <= set(kept.tolist())  # the only text of its class, twice
    assert LabelledTexts(["a", "a", "b", "b"], torch.tensor([0, 0, 1, 1]), ("x", "y")).folds(2, 0) == []
