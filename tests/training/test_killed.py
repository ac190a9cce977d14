"""SIGKILL at random moments: the training always goes on, and no checkpoint that was there is lost."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.worker import STEPS

ROOT = Path(__file__).parent.parent.parent
KILLS = 20


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.training.worker", str(folder), *arguments]


def train(folder: Path, *arguments: str) -> None:
    subprocess.run(command(folder, *arguments), cwd=ROOT, check=True, capture_output=True)


def kill(folder: Path, after: float) -> None:
    """Kill a training so many seconds after its first step."""
    with subprocess.Popen(
        command(folder, "resume", "unhurried"), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it was over before it was killed: train longer"


def ended(folder: Path) -> dict:
    return json.loads((folder / "0.json").read_text(encoding="utf-8"))


def newest_step(folder: Path) -> int:
    from fewshot.training import Checkpoints

    [home] = (folder / "checkpoints").iterdir()
    store = Checkpoints(home.parent, "worker", {})
    store.folder = home
    newest = store.newest()
    return 0 if newest is None else store.read(newest).progress.step


@pytest.mark.slow
def test_twenty_kills_and_the_same_bits(tmp_path, caplog):
    chance = random.Random(0)
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    train(tmp_path / "whole")
    steps = [0]
    for _ in range(KILLS):
        kill(tmp_path / "killed", after=chance.uniform(0.0, 0.5))
        steps.append(newest_step(tmp_path / "killed"))
    assert steps == sorted(steps)
    assert 0 < steps[-1] < STEPS
    assert len(set(steps)) > KILLS // 2
    assert not caplog.messages, "a checkpoint was damaged"
    train(tmp_path / "killed", "resume")
    whole, killed = ended(tmp_path / "whole"), ended(tmp_path / "killed")
    assert len(whole["drawn"]) == STEPS
    assert killed["drawn"] == whole["drawn"][steps[-1] :]
    for name in ("weights", "losses", "scores", "best_step"):
        assert killed[name] == whole[name], name
