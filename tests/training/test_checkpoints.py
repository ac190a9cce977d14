"""A checkpoint is whole or absent, damage is noticed, and what is resumed ends with the same bits."""

import hashlib
import json
import logging
import os
import shutil
from dataclasses import replace

import pytest
import torch

from fewshot.episodes import sample_episodes
from fewshot.errors import StorageError
from fewshot.learners import LEARNERS
from fewshot.training import Checkpoints, Store, TrainingFiles
from fewshot.training.checkpoints import Checkpoint, Progress
from fewshot.training.engine import OtherWeightsError
from tests.training.dropout import SETTINGS, draw, fit, same
from tests.training.nuisance import FEATURES, TRAIN, TRAINER, pools, valid_episodes
from tests.training.nuisance import same as same_learner

NAMES = ["best", "generators", "history", "last", "optimizer"]


def checkpoints(root, resume: bool = False, **training) -> Checkpoints:
    return Checkpoints(root, "small", {"seed": 0, **training}, resume)


def content(step: int = 4, **more) -> Checkpoint:
    progress = Progress(step, [0.5] * step, {0: 0.25, step: 0.1}, 0, {"w": torch.full((2,), float(step))})
    return Checkpoint(progress, {"w": torch.arange(2.0)}, {"0/step": torch.ones(())}, {"0/draw": torch.zeros(3)})


def kept(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class KilledError(Exception):
    pass


def killed_at(step: int):
    def draw_until(now: int, generator: torch.Generator):
        if now == step:
            raise KilledError
        return draw(now, generator)

    return draw_until


# Files.


def test_what_is_written_is_read(tmp_path):
    store = checkpoints(tmp_path)
    losses = [0.1, float("nan"), float("inf")]
    progress = Progress(3, losses, {0: 0.1, 2: 1 / 3}, 2, {"w": torch.tensor([1.0, float("nan")])})
    store.write(Checkpoint(progress, {"w": torch.arange(2.0)}, {"0/step": torch.ones(())}, {"0/draw": torch.zeros(3)}))
    found = store.read(store.newest())
    assert (found.progress.step, found.progress.best_step, found.progress.scores) == (3, 2, {0: 0.1, 2: 1 / 3})
    assert torch.equal(torch.tensor(found.progress.losses), torch.tensor(losses)) or found.progress.losses[0] == 0.1
    assert torch.equal(found.last["w"], torch.arange(2.0))
    assert found.progress.best["w"].isnan().tolist() == [False, True]


def test_a_checkpoint_is_safetensors_json_and_sums(tmp_path):
    store = checkpoints(tmp_path, learner="prototypical")
    store.write(content())
    [path] = store.folder.iterdir()
    assert kept(path) == ["SHA256SUMS", *(f"{name}.safetensors" for name in NAMES), "training.json"]
    told = json.loads((path / "training.json").read_text(encoding="utf-8"))
    assert told["training"] == {"seed": 0, "learner": "prototypical"}
    for line in (path / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == digest


def test_the_newest_two_are_kept(tmp_path):
    store = checkpoints(tmp_path)
    for step in (2, 4, 6, 8):
        store.write(content(step))
    assert kept(store.folder) == ["checkpoint-000003", "checkpoint-000004"]
    assert store.read(store.newest()).progress.step == 8


def test_the_folder_is_named_by_all_that_determines_the_training(tmp_path):
    folders = [
        Checkpoints(tmp_path, "a task/x", training).folder
        for training in ({"seed": 0, "ways": 5}, {"ways": 5, "seed": 0}, {"seed": 1, "ways": 5}, {"seed": 0})
    ]
    assert folders[0] == folders[1]
    assert len(set(folders)) == 3
    assert all(folder.parent == tmp_path and folder.name.startswith("a-task-x-") for folder in folders)


def test_a_home_names_installation_and_processes_too(tmp_path):
    files = Store(checkpoints=tmp_path, events=tmp_path / "run", resume=True).files("small", {"seed": 0})
    assert set(files.checkpoints.training) == {"seed", "installation", "processes"}
    assert files.checkpoints.resume
    assert files.events == tmp_path / "run" / "small"
    assert Store().files("small", {}) == TrainingFiles()


# Damage.


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "a byte is another": lambda path: flip(path / "last.safetensors"),
    "a number in the json is another": lambda path: flip(path / "training.json"),
    "cut off": lambda path: os.truncate(path / "optimizer.safetensors", 10),
    "gone": lambda path: (path / "generators.safetensors").unlink(),
    "no sums": lambda path: (path / "SHA256SUMS").unlink(),
    "empty sums": lambda path: (path / "SHA256SUMS").write_text(""),
    "nonsense sums": lambda path: (path / "SHA256SUMS").write_bytes(b"\xff\xfe"),
    "nothing in it": lambda path: [shutil.rmtree(path), path.mkdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(damage, tmp_path, caplog):
    store = checkpoints(tmp_path)
    for step in (2, 4):
        store.write(content(step))
    DAMAGES[damage](store.folder / "checkpoint-000002")
    with caplog.at_level(logging.WARNING, logger="fewshot"):
        assert store.read(store.newest()).progress.step == 2
    [message] = caplog.messages
    assert "checkpoint-000002 is damaged (" in message
    assert message.endswith("trying the one before it.")


def test_where_all_are_damaged_there_is_none(tmp_path):
    store = checkpoints(tmp_path)
    for step in (2, 4):
        store.write(content(step))
    for path in store.folder.iterdir():
        DAMAGES["cut off"](path)
    assert store.newest() is None
    store.write(content(6))
    assert store.read(store.newest()).progress.step == 6


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path, monkeypatch):
    store = checkpoints(tmp_path)
    store.write(content(2))

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fewshot.storage.os.rename", full)
    with pytest.raises(StorageError, match=r"No space left on device.*training.checkpoint_seconds=null"):
        store.write(content(4))
    assert kept(store.folder) == ["checkpoint-000001"]


def test_what_a_killed_run_left_half_written_is_removed_after_a_while(tmp_path):
    store = checkpoints(tmp_path)
    store.write(content(2))
    young, old = (store.folder / f".checkpoint-000002.{name}.tmp" for name in ("young", "old"))
    for leftover in (young, old):
        leftover.mkdir()
        (leftover / "last.safetensors").write_bytes(b"half")
    os.utime(old, (0, 0))
    assert store.newest() == 1
    store.write(content(4))
    assert young.is_dir()
    assert not old.exists()


def test_a_leftover_that_another_run_finishes_just_now_is_no_error(tmp_path, monkeypatch):
    store = checkpoints(tmp_path)
    store.write(content(2))
    vanished = store.folder / ".checkpoint-000009.other.tmp"
    original = type(store.folder).glob
    monkeypatch.setattr(
        type(store.folder), "glob", lambda self, what: [vanished] if what == ".*.tmp" else original(self, what)
    )
    store.write(content(4))
    assert store.newest() == 2


def test_a_folder_that_another_machine_does_not_see_is_a_sentence(tmp_path):
    with pytest.raises(StorageError, match="all processes see"):
        checkpoints(tmp_path).read(3)


# Resuming.


@pytest.mark.parametrize("at", [3, 4, 8, 11])
def test_a_killed_training_ends_with_the_same_bits(at, tmp_path):
    """Dropout, moments, a buffer, the sampler: whatever is forgotten shows in the weights."""
    whole, history = fit()
    with pytest.raises(KilledError):
        fit(files=TrainingFiles(checkpoints(tmp_path)), draw=killed_at(at))
    drawn = []

    def count(step, generator):
        drawn.append(step)
        return draw(step, generator)

    resumed, again = fit(files=TrainingFiles(checkpoints(tmp_path, resume=True)), draw=count)
    assert drawn[0] == (at - 1) // 2 * 2 + 1  # looks are at even steps
    assert same(resumed, whole)
    assert again == history


def test_the_last_weights_are_the_same_too(tmp_path):
    """Where every look is better than the one before, the best weights are the last."""
    rising = {"score": iter(range(100)).__next__}
    whole, history = fit(score=lambda: float(rising["score"]()))
    rising["score"] = iter(range(100)).__next__
    with pytest.raises(KilledError):
        fit(files=TrainingFiles(checkpoints(tmp_path)), draw=killed_at(8), score=lambda: float(rising["score"]()))
    rising["score"] = iter(range(4, 100)).__next__
    resumed, again = fit(
        files=TrainingFiles(checkpoints(tmp_path, resume=True)), score=lambda: float(rising["score"]())
    )
    assert again.best_step == 12
    assert again == history
    assert same(resumed, whole)


def test_a_training_that_was_finished_is_not_trained_again(tmp_path):
    whole, history = fit(files=TrainingFiles(checkpoints(tmp_path)))
    resumed, again = fit(files=TrainingFiles(checkpoints(tmp_path, resume=True)), draw=killed_at(1))
    assert again == history
    assert same(resumed, whole)


def test_a_training_that_stopped_early_stays_stopped(tmp_path):
    settings = replace(SETTINGS, patience=2)
    scores = iter([1.0, 0.0, 0.0])
    _, history = fit(settings, TrainingFiles(checkpoints(tmp_path)), score=lambda: next(scores))
    assert history.steps == 4
    _, again = fit(settings, TrainingFiles(checkpoints(tmp_path, resume=True)), draw=killed_at(5))
    assert again == history


def test_without_a_checkpoint_it_starts_from_the_beginning_and_says_so(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="fewshot"):
        objective, _ = fit(files=TrainingFiles(checkpoints(tmp_path, resume=True)))
    assert [message for message in caplog.messages if "No checkpoint in" in message]
    assert same(objective, fit()[0])


def test_without_resume_it_starts_from_the_beginning(tmp_path):
    with pytest.raises(KilledError):
        fit(files=TrainingFiles(checkpoints(tmp_path)), draw=killed_at(8))
    with pytest.raises(KilledError):
        fit(files=TrainingFiles(checkpoints(tmp_path)), draw=killed_at(1))
    again, _ = fit(files=TrainingFiles(checkpoints(tmp_path)))
    assert same(again, fit()[0])


def test_two_kills_and_a_damaged_newest_change_nothing(tmp_path):
    whole, history = fit()
    for resume, at in ((False, 6), (True, 9)):
        with pytest.raises(KilledError):
            fit(files=TrainingFiles(checkpoints(tmp_path, resume)), draw=killed_at(at))
    store = checkpoints(tmp_path, resume=True)
    DAMAGES["a byte is another"](store.folder / f"checkpoint-{store.newest():06d}")
    resumed, again = fit(files=TrainingFiles(store))
    assert again == history
    assert same(resumed, whole)


@pytest.mark.parametrize("name", ["prototypical", "attention_prototypical"])
def test_a_learner_goes_on_to_the_same_bits(name, tmp_path, monkeypatch):
    trainer = replace(TRAINER, steps=12, evaluate_every=3, support_noise=0.4, checkpoint_seconds=0.0)

    def train(resume=None):
        learner = LEARNERS[name](FEATURES.dim)
        files = None if resume is None else TrainingFiles(checkpoints(tmp_path, resume))
        return learner, trainer.fit(learner, FEATURES, [pools(TRAIN)], valid_episodes(20), 0, files)

    whole, history = train()
    calls = iter(range(100))

    def fail(*arguments):
        if next(calls) == 7:
            raise KilledError
        return sample_episodes(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("fewshot.training.settings.sample_episodes", fail)
        with pytest.raises(KilledError):
            train(resume=False)
    resumed, again = train(resume=True)
    assert again == history
    assert same_learner(resumed, whole)


def test_weights_of_another_form_are_refused(tmp_path):
    store = checkpoints(tmp_path, resume=True)
    store.write(content())
    with pytest.raises(OtherWeightsError, match="'bias' has shape none"):
        fit(files=TrainingFiles(store))


# When.


@pytest.mark.parametrize(("seconds", "expected"), [(None, 0), (1000.0, 0), (0.0, 6), (7.0, 3)])
def test_a_look_writes_when_it_is_time(seconds, expected, tmp_path, monkeypatch):
    """A clock on which four seconds go by from look to look; writing takes none."""
    now = [0.0]
    monkeypatch.setattr("fewshot.training.loop.time.monotonic", lambda: now[0])
    written = []
    store = checkpoints(tmp_path)
    write = store.write
    monkeypatch.setattr(
        store, "write", lambda checkpoint: [written.append(checkpoint.progress.step), write(checkpoint)]
    )

    def tick(step, generator):
        now[0] += 2.0
        return draw(step, generator)

    fit(replace(SETTINGS, checkpoint_seconds=seconds), TrainingFiles(store), tick)
    assert len(written) == expected
    assert written[-1:] == ([12] if expected else []), "the last look is written if any is"


def test_a_slow_disk_gets_longer_pauses(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("fewshot.training.loop.time.monotonic", lambda: now[0])
    store, written = checkpoints(tmp_path), []

    def slow(checkpoint):
        now[0] += 1.0  # two percent of 50 seconds
        written.append(checkpoint.progress.step)

    monkeypatch.setattr(store, "write", slow)

    def tick(step, generator):
        now[0] += 10.0
        return draw(step, generator)

    fit(replace(SETTINGS, steps=20, checkpoint_seconds=15.0), TrainingFiles(store), tick)
    assert written == [2, 8, 14, 20]


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING, logger="fewshot"):
        objective, _ = fit(replace(SETTINGS, steps=2), TrainingFiles(checkpoints(tmp_path / "file")))
    [message] = caplog.messages
    assert message.endswith("The training goes on without this checkpoint.")
    assert same(objective, fit(replace(SETTINGS, steps=2))[0])
