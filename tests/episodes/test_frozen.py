import logging
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from fewshot.episodes import sample_episodes
from fewshot.episodes.frozen import EpisodeRequest, draw, frozen_episodes, load_episodes, save_episodes, shipped_file
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
    save_file(tensors, path, {"task_sha256": task.sha256})


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
