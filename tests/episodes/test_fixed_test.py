"""Standard splits: one test part, supports from the rest."""

import logging

import pytest
import torch

from fewshot.episodes.fixed_test import fixed_test_episodes
from fewshot.errors import ConfigError, TaskError
from tests.synthetic import small_task

TASK = small_task((3, 2, 4), per_class=20)
CLASSES = TASK.parts["test"]


def drawn(task=TASK, classes=CLASSES, ways=None, shots=5, test_texts=6, episodes=4):
    return fixed_test_episodes(task, classes, ways, shots, test_texts, episodes)


def uneven(*sizes):
    """A task whose test classes have so many texts."""
    labels = torch.repeat_interleave(torch.tensor(sizes))
    names = tuple(f"class{number}" for number in range(len(sizes)))
    return small_task(
        (0, 0, len(sizes)),
        texts=tuple(f"text {number}" for number in range(len(labels))),
        labels=labels,
        classes=names,
        label_names=names,
    )


def test_the_test_part_is_the_same_for_all_supports_and_in_none():
    batch = drawn()
    assert (len(batch), batch.n_way, batch.k_shot, batch.n_query) == (4, 4, 5, 6)
    assert torch.equal(batch.query, batch.query[:1].expand_as(batch.query))
    assert not set(batch.query.flatten().tolist()) & set(batch.support.flatten().tolist())
    assert (TASK.labels[batch.query] == batch.classes[..., None]).all()
    assert (TASK.labels[batch.support] == batch.classes[..., None]).all()
    assert bool((batch.support.sort(-1).values.diff(dim=-1) > 0).all())
    assert not torch.equal(batch.support[0], batch.support[1])


def test_it_depends_on_neither_shots_nor_ways_nor_other_classes():
    tests = {label: set(row.tolist()) for label, row in zip(CLASSES, drawn().query[0], strict=True)}
    for other in (drawn(shots=2), drawn(episodes=1), drawn(ways=3), drawn(classes=range(9))):
        for labels, rows in zip(other.classes.tolist(), other.query, strict=True):
            for label, row in zip(labels, rows, strict=True):
                assert tests.get(label, set(row.tolist())) == set(row.tolist())


def test_a_support_with_fewer_shots_is_the_beginning_of_one_with_more():
    assert torch.equal(drawn(shots=3).support, drawn(shots=9).support[..., :3])
    assert drawn(shots=0).support.shape == (4, 4, 0)
    assert torch.equal(drawn(episodes=2).support, drawn(episodes=4).support[:2])


def test_classes_with_too_few_texts_lend_all_they_have(caplog):
    with caplog.at_level(logging.INFO):
        batch = drawn(uneven(30, 8, 12), range(3), shots=50, test_texts=9)
    assert batch.n_query == 4  # half of the smallest class
    assert batch.support_mask.sum(-1).tolist() == [[26, 4, 8]]  # once, for every other support would be the same
    assert batch.k_shot == 26  # no more padding than is needed
    assert torch.equal(batch.support >= 0, batch.support_mask)
    assert "3 of 3 classes have fewer than 50 texts beside the test part of 4 each: 4 or more" in caplog.text


def test_fewer_ways_are_drawn_anew_for_each_support():
    batch = drawn(ways=2, episodes=12)
    assert batch.n_way == 2
    assert bool((batch.classes[:, 0] != batch.classes[:, 1]).all())
    assert set(batch.classes.flatten().tolist()) == set(CLASSES)
    assert (TASK.labels[batch.query] == batch.classes[..., None]).all()


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ConfigError, match="ways=5, but there are only 4 classes"):
        drawn(ways=5)
    with pytest.raises(TaskError, match=r"'class1' has 1 text, but one is needed for the support"):
        drawn(uneven(5, 1), range(2))
