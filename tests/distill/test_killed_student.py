"""SIGKILL in the middle of a student's training: the same command goes on, to the same bits."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.distill.worker", str(folder), *arguments]


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path):
    chance = random.Random(0)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    subprocess.run(command(whole), cwd=ROOT, check=True, capture_output=True)
    for _ in range(3):
        with subprocess.Popen(
            command(killed, "unhurried"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "training\n"
            time.sleep(chance.uniform(0.2, 1.0))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "it was over before it was killed: train longer"
        assert not (killed / "digest").exists()
    assert any((killed / "checkpoints").rglob("checkpoint-*"))
    subprocess.run(command(killed), cwd=ROOT, check=True, capture_output=True)
    assert (killed / "digest").read_text() == (whole / "digest").read_text()
