import multiprocessing
import pickle

import pytest
import torch

from fewshot.encoders import FeatureCache, cache
from fewshot.errors import StorageError
from fewshot.storage import write_tensors


def rows(texts, dim=4):
    return torch.tensor([[float(len(text)), *range(1, dim)] for text in texts]) + hash_free(texts)


def hash_free(texts):
    return torch.tensor([[sum(map(ord, text)) / 7.0] for text in texts])


def files(folder):
    return sorted(folder.rglob("*.safetensors"))


def test_an_empty_cache_misses_everything(tmp_path):
    assert FeatureCache(tmp_path / "none", "f").lookup(["a", "b", "a"]) == (None, [0, 1, 2])


def test_another_process_finds_what_was_stored_in_any_order(tmp_path):
    FeatureCache(tmp_path, "f").store(["a", "bb"], rows(["a", "bb"]))
    FeatureCache(tmp_path, "f").store(["ccc"], rows(["ccc"]))
    found, missing = FeatureCache(tmp_path, "f").lookup(["ccc", "new", "a", "bb", "a"])
    assert missing == [1]
    assert torch.equal(found[[0, 2, 3, 4]], rows(["ccc", "a", "bb", "a"]))
    assert found[1].isnan().all()


def test_a_pickle_holds_no_features_and_reads_the_files_again(tmp_path):
    own = FeatureCache(tmp_path, "f")
    own.store(["a", "bb"], rows(["a", "bb"], dim=5000))
    own.lookup(["a"])
    content = pickle.dumps(own)
    assert len(content) < 1000
    assert torch.equal(pickle.loads(content).lookup(["bb"])[0], rows(["bb"], dim=5000))


def test_encoders_do_not_share_features(tmp_path):
    FeatureCache(tmp_path, "one").store(["a"], rows(["a"]))
    assert FeatureCache(tmp_path, "two").lookup(["a"]) == (None, [0])


def test_an_open_cache_sees_what_comes_later(tmp_path):
    open_cache = FeatureCache(tmp_path, "f")
    assert open_cache.lookup(["a"])[1] == [0]
    FeatureCache(tmp_path, "f").store(["a"], rows(["a"]))
    assert open_cache.lookup(["a"])[1] == []


def truncate(file):
    file.write_bytes(file.read_bytes()[:-3])


def change_one_number(file):
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)


def empty(file):
    file.write_bytes(b"")


def other_tensors(file):
    from safetensors.torch import save_file

    save_file({"weights": torch.ones(2)}, file)


@pytest.mark.parametrize("damage", [truncate, change_one_number, empty, other_tensors])
def test_a_damaged_file_is_named_removed_and_can_be_written_again(tmp_path, caplog, damage):
    FeatureCache(tmp_path, "f").store(["a"], rows(["a"]))
    FeatureCache(tmp_path, "f").store(["bb"], rows(["bb"]))
    damaged = next(file for file in files(tmp_path) if "a" in keys_in(file))
    damage(damaged)
    reader = FeatureCache(tmp_path, "f")
    assert reader.lookup(["a", "bb"])[1] == [0]
    assert str(damaged) in caplog.text
    assert not damaged.exists()
    reader.store(["a"], rows(["a"]))
    assert torch.equal(reader.lookup(["a", "bb"])[0], rows(["a", "bb"]))


def keys_in(file):
    return [text for text in ("a", "bb") if cache.text_key(text) in cache.read_shard(file).keys]


def test_a_file_that_vanishes_is_a_miss_without_a_word(tmp_path, caplog, monkeypatch):
    FeatureCache(tmp_path, "f").store(["a"], rows(["a"]))
    reader = FeatureCache(tmp_path, "f")
    listed = files(tmp_path)
    monkeypatch.setattr(reader, "_files", lambda: listed)
    listed[0].unlink()
    assert reader.lookup(["a"]) == (None, [0])
    assert not caplog.text


def test_a_failed_write_leaves_nothing_and_says_what_to_do(tmp_path, monkeypatch):
    FeatureCache(tmp_path, "f").store(["a"], rows(["a"]))
    before = sorted(tmp_path.rglob("*"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match=r"No space left.*encoder\.cache=null"):
        FeatureCache(tmp_path, "f").store(["bb"], rows(["bb"]))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cache_folder_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "f").write_text("in the way")
    broken = FeatureCache(tmp_path, "f")
    assert broken.lookup(["a"]) == (None, [0])
    with pytest.raises(StorageError, match=r"encoder\.cache=/another/folder"):
        broken.store(["a"], rows(["a"]))


def test_many_small_files_become_one(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MAX_SMALL_SHARDS", 4)
    texts = [str(number) * 3 for number in range(5)]
    for text in texts:
        FeatureCache(tmp_path, "f").store([text, "shared"], rows([text, "shared"]))
    assert len(files(tmp_path)) == 5
    assert torch.equal(FeatureCache(tmp_path, "f").lookup(texts)[0], rows(texts))
    assert len(files(tmp_path)) == 1
    assert torch.equal(FeatureCache(tmp_path, "f").lookup([*texts, "shared"])[0], rows([*texts, "shared"]))
    assert len(cache.read_shard(files(tmp_path)[0]).keys) == 6


def test_a_merged_file_that_was_there_before_stays(tmp_path, monkeypatch):
    """As when another process has written it and was stopped before it removed the parts."""
    monkeypatch.setattr(cache, "MAX_SMALL_SHARDS", 2)
    for texts in (["a", "bb"], ["bb"], ["a"]):
        FeatureCache(tmp_path, "f").store(texts, rows(texts))
    for _ in range(2):
        assert torch.equal(FeatureCache(tmp_path, "f").lookup(["a", "bb"])[0], rows(["a", "bb"]))
        assert len(files(tmp_path)) == 1


def test_large_files_are_not_merged(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "MAX_SMALL_SHARDS", 2)
    monkeypatch.setattr(cache, "SMALL", 1)
    for text in ("a", "bb", "ccc"):
        FeatureCache(tmp_path, "f").store([text], rows([text]))
    FeatureCache(tmp_path, "f").lookup(["a"])
    assert len(files(tmp_path)) == 3


def test_a_file_that_vanishes_while_it_is_opened_is_a_miss(tmp_path, monkeypatch):
    FeatureCache(tmp_path, "f").store(["a"], rows(["a"]))

    def vanish(path, framework):
        files(tmp_path)[0].unlink()
        raise RuntimeError(f"unable to open file <{path}> in read-only mode: No such file or directory (2)")

    monkeypatch.setattr("safetensors.safe_open", vanish)
    assert FeatureCache(tmp_path, "f").lookup(["a"]) == (None, [0])


def write_and_read(folder, name, n_rounds):
    cache.MAX_SMALL_SHARDS = 3
    for number in range(n_rounds):
        texts = [f"{name} {number}", f"both {number}"]
        own = FeatureCache(folder, "f")
        own.store(texts, rows(texts))
        found, missing = own.lookup(texts)
        assert not missing
        assert torch.equal(found, rows(texts))


@pytest.mark.slow
def test_two_processes_write_read_and_merge_at_once(tmp_path, caplog):
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_and_read, args=(tmp_path, name, 25)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    texts = [f"{name} {number}" for name in ("left", "right", "both") for number in range(25)]
    found, missing = FeatureCache(tmp_path, "f").lookup(texts)
    assert not missing
    assert torch.equal(found, rows(texts))
    assert not caplog.text
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_shard_is_read_once_however_often_it_is_looked_up(tmp_path, monkeypatch):
    texts = [f"text number {number}" for number in range(9000)]
    FeatureCache(tmp_path, "f").store(texts, torch.randn(9000, 8))
    reads = []
    read = cache.read_shard
    monkeypatch.setattr(cache, "read_shard", lambda path, dim: reads.append(path) or read(path, dim))
    warm = FeatureCache(tmp_path, "f")
    for _ in range(3):
        _, missing = warm.lookup(texts)
        assert not missing
    assert len(reads) == 1


def test_the_default_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("FEWSHOT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "fewshot" / "features"
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "own"))
    assert cache.default_folder() == tmp_path / "own"


def forge(folder, name, **tensors):
    write_tensors(folder / "f" / f"{name}.safetensors", tensors)


@pytest.mark.parametrize(
    ("keys", "features"),
    [
        (torch.zeros(1, 16, dtype=torch.uint8), torch.full((1, 4), float("nan"))),
        (torch.zeros(1, 16, dtype=torch.uint8), torch.zeros(1, 4, dtype=torch.float64)),
        (torch.zeros(1, 16, dtype=torch.uint8), torch.zeros(2, 4)),
        (torch.zeros(1, 8, dtype=torch.uint8), torch.zeros(1, 4)),
        (torch.zeros(16, dtype=torch.uint8), torch.zeros(4)),
        (torch.zeros(1, 16, dtype=torch.uint8), torch.zeros(1, 5)),
    ],
)
def test_a_forged_file_is_removed_and_said_so(tmp_path, caplog, keys, features):
    FeatureCache(tmp_path, "f").store(["a"], rows(["a"]))
    forge(tmp_path, "z", keys=keys, features=features)
    found, missing = FeatureCache(tmp_path, "f").lookup(["a"])
    assert missing == []
    assert torch.equal(found, rows(["a"]))
    assert "cannot be used" in caplog.text
    assert "It is removed" in caplog.text
    assert len(files(tmp_path)) == 1


def test_a_damaged_file_that_cannot_be_removed_is_not_said_to_be(tmp_path, caplog, monkeypatch):
    FeatureCache(tmp_path, "f").store(["a"], rows(["a"]))
    truncate(files(tmp_path)[0])

    def refused(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", refused)
    assert FeatureCache(tmp_path, "f").lookup(["a"]) == (None, [0])
    assert "It is left out" in caplog.text
    assert "It is removed" not in caplog.text


def test_a_cache_that_cannot_be_written_costs_a_warning_alone(tmp_path, caplog):
    (tmp_path / "f").write_text("in the way")
    parts = [["a"], ["bb"]]
    features = cache.filled(FeatureCache(tmp_path, "f"), ["a", "bb"], lambda texts: map(rows, parts))
    assert torch.equal(features, torch.cat([rows(part) for part in parts]))
    assert caplog.text.count("Features are not kept.") == 1
