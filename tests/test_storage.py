"""Files are whole or as they were before, with nothing left beside them."""

import contextlib
import errno
import json
import os
import stat

import pytest
import torch

from fewshot import storage
from fewshot.errors import FewshotError, StorageError
from fewshot.storage import (
    atomic,
    atomic_folder,
    read_sealed,
    read_tensors,
    remove_leftovers,
    replaced_folder,
    write_json,
    write_sealed,
    write_tensors,
    write_text,
)


def fail(code: int):
    def raise_it(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return raise_it


def test_a_file_is_written_into_a_folder_that_is_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "file.txt", "gr\u00fc\u00df\n")

    assert (tmp_path / "a" / "b" / "file.txt").read_bytes() == "gr\u00fc\u00df\n".encode()


def test_an_error_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "file.txt"
    file.write_text("old")

    with pytest.raises(ZeroDivisionError), atomic(file) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise ZeroDivisionError

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_interrupt_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "file.txt"
    file.write_text("old")

    with pytest.raises(KeyboardInterrupt), atomic(file) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise KeyboardInterrupt

    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_an_error_of_the_disk_is_a_sentence_and_leaves_the_old_file(call, tmp_path, monkeypatch):
    file = tmp_path / "file.txt"
    file.write_text("old")
    monkeypatch.setattr(storage.os, call, fail(errno.ENOSPC))

    with pytest.raises(StorageError) as caught:
        write_text(file, "new", "Set cache=/another/folder.")

    assert str(caught.value) == f"Could not write {str(file)!r}: No space left on device. Set cache=/another/folder."
    assert isinstance(caught.value, FewshotError)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(
        StorageError, match=r"^Could not write '.*below.txt': (Not a directory|File exists)\. Free some space or"
    ):
        write_text(tmp_path / "file" / "below.txt", "new")


def test_a_folder_in_the_place_of_the_file_is_a_sentence(tmp_path):
    (tmp_path / "name").mkdir()

    with pytest.raises(StorageError, match="Could not write"):
        write_text(tmp_path / "name", "new")

    assert list(tmp_path.iterdir()) == [tmp_path / "name"]


def test_files_may_be_read_by_whom_the_umask_allows(tmp_path, monkeypatch):
    before = os.umask(0o027)
    monkeypatch.setattr(os, "umask", fail(errno.EPERM))  # other threads would write by what it is for a moment
    try:
        write_text(tmp_path / "text", "")
        write_text(tmp_path / "key", "", private=True)
        write_tensors(tmp_path / "tensors", {"a": torch.ones(2)})
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "inside").write_text("")
    finally:
        monkeypatch.undo()
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*")}
    assert modes == {"text": 0o640, "key": 0o600, "tensors": 0o640, "folder": 0o750, "inside": 0o640}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_without_nan(number, tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "file.json", {"accuracy": number})

    assert list(tmp_path.iterdir()) == []


def test_json_keeps_order_and_letters(tmp_path):
    write_json(tmp_path / "file.json", {"b": "\u00e9", "a": [1, None]})

    text = (tmp_path / "file.json").read_text(encoding="utf-8")
    assert list(json.loads(text)) == ["b", "a"]
    assert "\u00e9" in text
    assert text.endswith("}\n")


def test_half_a_surrogate_pair_comes_back(tmp_path):
    write_json(tmp_path / "file.json", {"text": "a \ud800 and \\ud800"})
    assert json.loads((tmp_path / "file.json").read_text(encoding="utf-8")) == {"text": "a \ud800 and \\ud800"}


def test_tensors_come_back_with_their_metadata(tmp_path):
    matrix = torch.arange(6.0).reshape(2, 3)
    write_tensors(tmp_path / "a.safetensors", {"transposed": matrix.T, "n": torch.tensor(3)}, {"task": "animals"})

    tensors, metadata = read_tensors(tmp_path / "a.safetensors")

    assert torch.equal(tensors["transposed"], matrix.T)
    assert tensors["n"].item() == 3
    assert metadata == {"task": "animals"}


def test_tensors_stay_as_they_were_read_when_their_file_is_written_over(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"x": torch.ones(4)})
    write_tensors(tmp_path / "b.safetensors", {"x": torch.zeros(4)})
    tensors, _ = read_tensors(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes())
    assert tensors["x"].tolist() == [1.0] * 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int16, torch.bool])
def test_each_flipped_bit_and_each_missing_byte_of_tensors_is_found(tmp_path, dtype):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.ones(2, 3).to(dtype), "b": torch.zeros(0)}, {"task": "animals"})
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 5):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"a\.safetensors"):
            read_tensors(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.safetensors"):
            read_tensors(path)


def test_tensors_that_are_not_finite_are_refused(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"weight": torch.tensor([1.0, float("nan")])})
    with pytest.raises(ValueError, match=r"weight in a\.safetensors has NaN"):
        read_tensors(tmp_path / "a.safetensors")


def test_each_change_of_a_sealed_object_is_found(tmp_path):
    path, content = tmp_path / "a.json", {"labels": ["x", "\u00e9"], "temperature": 0.25, "none": None}
    write_sealed(path, content)
    assert read_sealed(path) == content
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with contextlib.suppress(ValueError):
            assert read_sealed(path) == content, "white space may change"
    for damaged in ("[]", "{}", "[" * 100_000, "null", '{"temperature": NaN}'):
        path.write_text(damaged)
        with pytest.raises(ValueError):
            read_sealed(path)


def test_what_a_killed_process_left_goes_after_a_while(tmp_path):
    old, new, folder = tmp_path / ".a.x1.tmp", tmp_path / ".a.x2.tmp", tmp_path / ".b.x3.tmp"
    for path in (old, new):
        path.write_text("half")
    folder.mkdir()
    (folder / "part").write_text("half")
    for path in (old, folder):
        os.utime(path, (0, 0))
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [new]


def test_a_disk_that_fills_up_under_tensors_is_a_sentence(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    def full(*args, **kwargs):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)

    with pytest.raises(StorageError, match=r"Could not write .*No space left on device"):
        write_tensors(tmp_path / "a.safetensors", {"a": torch.ones(1)})

    assert list(tmp_path.iterdir()) == []


# Folders.


def test_a_folder_appears_whole(tmp_path):
    with atomic_folder(tmp_path / "a" / "folder") as temporary:
        (temporary / "one").write_text("1")
        (temporary / "two").write_text("2")
        assert not (tmp_path / "a" / "folder").exists()

    assert sorted(path.name for path in (tmp_path / "a" / "folder").iterdir()) == ["one", "two"]
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a" / "folder"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_in_the_block_leaves_no_folder(error, tmp_path):
    with pytest.raises(error), atomic_folder(tmp_path / "folder") as temporary:  # noqa: PT012
        (temporary / "one").write_text("1")
        raise error

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "rename", "chmod"])
def test_an_error_of_the_disk_is_a_sentence_and_leaves_no_folder(call, tmp_path, monkeypatch):
    monkeypatch.setattr(storage.os, call, fail(errno.ENOSPC))

    with (
        pytest.raises(StorageError, match=r"Could not write '.*folder': No space left"),
        atomic_folder(tmp_path / "folder") as temporary,
    ):
        (temporary / "one").write_text("1")

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays_as_it_is(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("")

    with pytest.raises(StorageError), atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "new").write_text("")

    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["old"]


def test_a_folder_is_replaced_once_the_new_one_is_whole(tmp_path):
    model = tmp_path / "model"
    for content in ("old", "new"):
        with replaced_folder(model, "marker", ("old.txt", "new.txt")) as folder:
            write_text(folder / "marker", content)
            write_text(folder / f"{content}.txt", content)
            if content == "new":
                assert (model / "marker").read_text() == "old"
    assert sorted(path.name for path in model.iterdir()) == ["marker", "new.txt"]
    with pytest.raises(StorageError), replaced_folder(model, "marker", ("new.txt",)) as folder:
        raise OSError(28, "No space left on device")
    assert sorted(path.name for path in model.iterdir()) == ["marker", "new.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    with (
        pytest.raises(StorageError, match=r"also holds 'new\.txt', which would be lost"),
        replaced_folder(model, "marker", ("old.txt",)),
    ):
        pass
    assert (model / "new.txt").read_text() == "new"


def test_a_folder_of_other_things_is_not_replaced(tmp_path):
    write_text(tmp_path / "model" / "thesis.txt", "years of work")
    with pytest.raises(StorageError, match="holds something else"), replaced_folder(tmp_path / "model", "marker"):
        pass
    assert (tmp_path / "model" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder_takes_the_place_of_another(in_one_step, tmp_path, monkeypatch):
    """In one step there is no moment without a folder of that name: nothing is renamed."""
    if in_one_step:
        if not storage._exchanged(*(make_folder(tmp_path / name, name) for name in ("a", "b"))):
            pytest.skip("the system, or the disk, cannot exchange two folders")
        assert (tmp_path / "a" / "mark").read_text() == "b"
        make_folder(tmp_path / "saved", "old")
        monkeypatch.setattr(storage.os, "rename", fail(errno.EPERM))
    else:
        make_folder(tmp_path / "saved", "old")
        monkeypatch.setattr(storage, "_exchanged", lambda new, path: False)
    with replaced_folder(tmp_path / "saved", "mark") as new:
        (new / "mark").write_text("new")
        assert (tmp_path / "saved" / "mark").read_text() == "old"
    assert (tmp_path / "saved" / "mark").read_text() == "new"
    assert not list(tmp_path.glob(".*"))


def test_what_a_killed_process_left_inside_of_a_folder_goes_with_it(tmp_path):
    folder = make_folder(tmp_path / "saved", "old")
    (folder / ".page.html.x1y2z3.tmp").write_text("half")
    with replaced_folder(folder, "mark", ("page.html",)) as new:
        (new / "mark").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["mark"]


def test_saving_again_takes_away_what_a_killed_process_left_of_the_same_name(tmp_path):
    left, other = make_folder(tmp_path / ".saved.x1.tmp", "half"), make_folder(tmp_path / ".more.x1.tmp", "half")
    for path in (left, other):
        os.utime(path, (0, 0))
    with replaced_folder(tmp_path / "saved", "mark") as new:
        (new / "mark").write_text("new")
    assert (left.exists(), other.exists()) == (False, True)


def make_folder(path, content):
    path.mkdir()
    (path / "mark").write_text(content)
    return path
