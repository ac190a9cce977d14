import logging
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from fewshot.episodes import sample_episodes
from fewshot.episodes.frozen import (
    EpisodeRequest,
    check_episodes,
    draw,
    fixed_test_episodes,
    frozen_episodes,
    load_episodes,
    save_episodes,
    shipped_file,
)
from fewshot.errors import ConfigError, TaskError
from tests.synthetic import seeded, small_task

REQUEST = EpisodeRequest("test", ways=3, shots=4, queries=5, episodes=20)


@pytest.fixture(scope="module")
def task():
    return small_task()


def other_episodes(task, seed, ways=3, shots=4, queries=5, episodes=20):
    """Valid episodes of the test classes that `draw` would not have drawn."""
    return sample_episodes(task.pools("test"), episodes, ways, shots, queries, seeded(seed))


def kept_file(folder):
    [path] = folder.rglob("*.safetensors")
    return path


def test_episodes_are_of_the_part_asked_for(task):
    for part in ("train", "valid", "test"):
        batch = draw(task, EpisodeRequest(part, None, 2, 3, 10))
        assert tuple(batch.classes.unique().tolist()) == task.parts[part]
        assert torch.equal(task.labels[batch.support], batch.classes[..., None].expand_as(batch.support))
        assert torch.equal(task.labels[batch.query], batch.classes[..., None].expand_as(batch.query))


def test_fewer_shots_are_nested_in_more(task):
    largest = draw(task, EpisodeRequest("test", 3, 7, 5, 20))
    for shots in (1, 4):
        assert draw(task, EpisodeRequest("test", 3, shots, 5, 20)).sha256() == largest.prefix(shots, 5).sha256()


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (REQUEST, "test-3way-4shot-5query-20.safetensors"),
        (EpisodeRequest("valid", None, 1, 2, 3, True), "valid-allway-1shot-2query-3-realistic.safetensors"),
    ],
)
def test_file_names_say_what_was_asked_for(request_, name):
    assert request_.file_name == name


def test_zero_ways_are_refused_not_read_as_all(task):
    with pytest.raises(ConfigError, match="Got ways=0"):
        draw(task, EpisodeRequest("test", 0, 1, 1, 1))


def test_reloaded_episodes_have_the_hash_of_those_drawn(task, tmp_path):
    drawn = frozen_episodes(task, REQUEST, None, tmp_path)
    assert drawn.sha256() == draw(task, REQUEST).sha256()
    assert load_episodes(kept_file(tmp_path), task).sha256() == drawn.sha256()


def test_unequal_episodes_come_back_with_their_mask(task, tmp_path):
    request = EpisodeRequest("test", 3, 3, 2, 50, realistic=True)
    drawn = frozen_episodes(task, request, None, tmp_path)
    reloaded = frozen_episodes(task, request, None, tmp_path)
    assert bool((~reloaded.support_mask).any())
    assert torch.equal(reloaded.support_mask, drawn.support_mask)
    assert reloaded.sha256() == drawn.sha256()


@pytest.mark.parametrize(("n_texts", "kind"), [(2**15 - 8, torch.int16), (2**15 + 8, torch.int32)])
def test_indices_take_two_bytes_where_they_can(tmp_path, n_texts, kind):
    task = small_task((1, 1, 2), per_class=n_texts // 4)
    batch = draw(task, EpisodeRequest("test", 2, 3, 3, 30))
    save_episodes(tmp_path / "file", batch, task)
    assert {tensor.dtype for tensor in load_file(tmp_path / "file").values()} == {kind}
    assert load_episodes(tmp_path / "file", task).sha256() == batch.sha256()


def test_kept_episodes_are_used_again(task, tmp_path):
    frozen_episodes(task, REQUEST, None, tmp_path)
    other = other_episodes(task, seed=1)
    save_episodes(kept_file(tmp_path), other, task)
    assert frozen_episodes(task, REQUEST, None, tmp_path).sha256() == other.sha256()


def test_without_a_folder_nothing_is_kept(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert frozen_episodes(task, REQUEST, None, None).sha256() == draw(task, REQUEST).sha256()
    assert list(tmp_path.iterdir()) == []


def test_shipped_episodes_come_before_kept_ones(task, tmp_path):
    shipped, kept = tmp_path / "shipped", tmp_path / "kept"
    frozen_episodes(task, REQUEST, None, kept)
    large = other_episodes(task, seed=2, shots=6, queries=6, episodes=30)
    save_episodes(shipped_file(shipped, task, 3), large, task)
    assert frozen_episodes(task, REQUEST, shipped, kept).sha256() == large.prefix(4, 5, 20).sha256()


@pytest.mark.parametrize(
    "request_",
    [
        EpisodeRequest("test", 3, 5, 5, 20),
        EpisodeRequest("test", 3, 4, 6, 20),
        EpisodeRequest("test", 3, 4, 5, 21),
        EpisodeRequest("test", 4, 4, 5, 20),
        EpisodeRequest("test", 3, 4, 5, 20, realistic=True),
        EpisodeRequest("train", 3, 4, 5, 20),
    ],
)
def test_shipped_episodes_that_do_not_suffice_are_not_used(task, tmp_path, request_):
    save_episodes(shipped_file(tmp_path, task, 3), other_episodes(task, seed=2), task)
    assert frozen_episodes(task, request_, tmp_path, None).sha256() == draw(task, request_).sha256()


@pytest.mark.parametrize("ways", [None, 5])
def test_as_many_ways_as_test_classes_take_the_shipped_file_of_all_classes(task, tmp_path, ways):
    large = other_episodes(task, seed=2, ways=5)
    save_episodes(shipped_file(tmp_path, task, None), large, task)
    assert shipped_file(tmp_path, task, None).name == "test_episodes_01_allway.safetensors"
    assert frozen_episodes(task, EpisodeRequest("test", ways, 4, 5, 20), tmp_path, None).sha256() == large.sha256()


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def damage_header(path):
    path.write_bytes(struct.pack("<Q", 2**40) + path.read_bytes()[8:])


def damage_missing_tensor(path, task):
    tensors = load_file(path)
    del tensors["query"]
    save_file(tensors, path, {"task_sha256": task.texts_sha256})


@pytest.mark.parametrize("damage", [damage_cut, damage_header, damage_missing_tensor])
def test_a_damaged_file_is_drawn_again_with_a_warning(task, tmp_path, caplog, damage):
    expected = frozen_episodes(task, REQUEST, None, tmp_path).sha256()
    path = kept_file(tmp_path)
    damage(path, task) if damage is damage_missing_tensor else damage(path)
    with caplog.at_level(logging.WARNING, logger="fewshot"):
        assert frozen_episodes(task, REQUEST, None, tmp_path).sha256() == expected
    assert f"{path} is damaged" in caplog.text
    caplog.clear()
    assert frozen_episodes(task, REQUEST, None, tmp_path).sha256() == expected
    assert caplog.text == ""


def test_a_file_that_does_not_say_whose_it_is_is_not_used(task, tmp_path):
    frozen_episodes(task, REQUEST, None, tmp_path)
    path = kept_file(tmp_path)
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(path).items()}, path)
    assert frozen_episodes(task, REQUEST, None, tmp_path).sha256() == draw(task, REQUEST).sha256()


def test_a_file_of_other_texts_is_not_used(task, tmp_path):
    changed = small_task(texts=("another text", *task.texts[1:]))
    save_episodes(shipped_file(tmp_path, task, 3), other_episodes(task, seed=2), changed)
    assert load_episodes(shipped_file(tmp_path, task, 3), task) is None
    assert frozen_episodes(task, REQUEST, tmp_path, None).sha256() == draw(task, REQUEST).sha256()


def test_two_tasks_of_one_name_keep_their_episodes_apart(task, tmp_path):
    changed = small_task(texts=("another text", *task.texts[1:]))
    for each in (task, changed):
        frozen_episodes(each, REQUEST, None, tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_classes_that_cannot_fill_the_episodes_are_named(task):
    with pytest.raises(TaskError, match="Class 'label09' has 12 texts"):
        frozen_episodes(task, EpisodeRequest("test", 3, 10, 5, 20), None, None)


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


def test_each_way_episodes_can_be_wrong_is_found(task):
    drawn = draw(task, EpisodeRequest("test", 2, 2, 2, 4))
    classes, support, query = drawn.classes, drawn.support, drawn.query
    check_episodes(classes, support, query, task)
    overlap, below, above, other, gap, twice = (support.clone() for _ in range(6))
    overlap[0, 0, 0] = query[0, 0, 0]
    below[0, 0, 0] = -2
    above[0, 0, 0] = len(task.texts)
    other[0, 0, 0] = support[0, 1, 0]
    gap[0, 0, 0] = -1
    twice[0, 0, 1] = twice[0, 0, 0]
    one_class = classes.clone()
    one_class[0, 1] = one_class[0, 0]
    for words, wrong in (
        ("a text twice", (classes, overlap, query)),
        ("a text twice", (classes, twice, query)),
        ("texts that are none of the task's", (classes, below, query)),
        ("texts that are none of the task's", (classes, above, query)),
        ("texts of other classes", (classes, other, query)),
        ("gaps", (classes, gap, query)),
        ("a class twice", (one_class, support, query)),
        ("classes that are none of the task's", (classes - 99, support, query)),
        ("those of its classes", (classes, support, query[:, :1])),
    ):
        with pytest.raises(ValueError, match=words):
            check_episodes(*wrong, task)
