import importlib.util

import pytest
import torch

from fewshot.errors import ConfigError, TaskError
from fewshot.evaluation.gaps import FEWEST, change_effect, group_gap
from fewshot.evaluation.intervals import Sample

SAMPLE = Sample("cross_validation", torch.arange(50).expand(2, -1), folds=5)


def test_groups_are_the_means_of_their_texts_over_all_repeats():
    hits = torch.zeros(2, 50)
    hits[0, :10] = 1  # of group a, in one repeat of two
    hits[:, 30:] = 1
    groups = ["a"] * 20 + ["b"] * 10 + ["c"] * 20
    found = group_gap(hits, SAMPLE, groups)
    assert [(group.name, group.n_texts, group.accuracy.mean) for group in found.groups] == [
        ("b", 10, 0.0),
        ("a", 20, 0.25),
        ("c", 20, 1.0),
    ]
    assert found.gap == 1.0
    assert found.by_chance < 0.01
    low, high = found.groups[1].accuracy.interval
    assert low < 0.25 < high
    assert found.as_json()["groups"][2]["accuracy"]["mean"] == 1.0


def test_a_small_group_is_shown_and_not_compared():
    hits = torch.ones(1, 40)
    hits[0, :3] = 0
    hits[0, 3:30:2] = 0
    sample = Sample("fixed_test", torch.arange(40)[None])
    found = group_gap(hits, sample, ["tiny"] * 3 + ["odd"] * 27 + ["right"] * 10)
    assert [group.name for group in found.groups] == ["tiny", "odd", "right"]
    assert [group.name for group in found.compared] == ["odd", "right"]
    assert found.gap == pytest.approx(14 / 27)
    few = group_gap(hits, sample, ["tiny"] * (FEWEST - 1) + ["rest"] * (41 - FEWEST))
    assert (few.gap, few.by_chance) == (None, None)


def test_groups_without_a_difference_are_chance():
    hits = torch.tensor([1.0, 0.0]).repeat(25)[None]
    found = group_gap(hits, Sample("fixed_test", torch.arange(50)[None]), ["a", "a", "b", "b"] * 12 + ["a", "a"])
    assert found.gap == 0
    assert found.by_chance == 1


@pytest.mark.parametrize("groups", [["a"] * 50, list(map(str, range(51)))])
def test_one_group_or_very_many_are_refused(groups):
    with pytest.raises(TaskError, match=r"expected 2 to 50\. Choose a column"):
        group_gap(torch.ones(1, len(groups)), Sample("fixed_test", torch.arange(len(groups))[None]), groups)


def test_without_fairlearn_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'fewshot-text\[check\]'"):
        group_gap(torch.ones(2, 50), SAMPLE, ["a", "b"] * 25)


def test_a_change_counts_the_texts_that_it_changes():
    before, after = torch.ones(1, 4), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    sample = Sample("fixed_test", torch.arange(4)[None])
    effect = change_effect("typos", before, after, torch.tensor([True, True, False, False]), sample)
    assert (effect.n_texts, effect.before.mean, effect.after.mean, effect.difference.mean) == (2, 1.0, 0.5, -0.5)
    assert effect.as_json()["difference"]["mean"] == -0.5
    assert change_effect("typos", before, after, torch.zeros(4, dtype=torch.bool), sample) is None
