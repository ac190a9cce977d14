"""Two processes under torchrun, on the CPU: other batches in each, one gradient, the same weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import rows, write_jsonl
from tests.training.dropout import SETTINGS, Regression, draw, fit

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.slow


def torchrun(*arguments: str, processes: int = 2, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run([*launcher, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def train(folder: Path, *arguments: str, worker: str = "worker", says: str = "") -> list[dict]:
    done = torchrun("-m", f"tests.training.{worker}", str(folder), "short", *arguments)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    return [json.loads((folder / f"{number}.json").read_text(encoding="utf-8")) for number in (0, 1)]


def test_both_end_with_the_same_weights_from_other_batches(tmp_path):
    first, second = train(tmp_path)
    assert not set(first["drawn"]) & set(second["drawn"])
    del first["drawn"], second["drawn"], first["weights"]["count"], second["weights"]["count"]
    assert first == second


def test_the_gradient_is_the_mean_of_both(tmp_path):
    """One process that takes the batches of both in turn has the same weights, but for rounding."""
    from dataclasses import replace

    from fewshot.randomness import child_generator

    [found, _] = train(tmp_path, "plain")
    streams = [child_generator(0, "training"), child_generator(0, "training/1")]
    turn = [0]

    def alternate(step, generator):
        turn[0] += 1
        return draw(step, streams[(turn[0] - 1) % 2])

    objective = Regression()
    objective.dropout.p = 0.0
    fit(replace(SETTINGS, evaluate_every=1, accumulate=2), None, alternate, objective=objective)
    for name in ("weight", "bias"):
        assert torch.allclose(torch.tensor(found["weights"][name]), objective.state_dict()[name], atol=1e-5), name


def test_two_processes_go_on_to_the_same_bits(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    whole = train(tmp_path / "whole")
    assert torchrun("-m", "tests.training.worker", str(tmp_path / "stopped"), "short", "stop=6").returncode == 0
    resumed = train(tmp_path / "stopped", "resume")
    for before, after in zip(whole, resumed, strict=True):
        assert after["drawn"] == before["drawn"][5:]
        for name in ("weights", "losses", "scores", "best_step"):
            assert after[name] == before[name], name


def test_sharded_weights_are_gathered_for_looks_and_at_the_end(tmp_path):
    """FSDP2; dropout is left out, for it draws from other generators there."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "sharded").mkdir()
    whole = train(tmp_path / "whole", "plain")
    sharded = train(tmp_path / "sharded", "plain", worker="sharded_worker", says="DTensor")
    for before, after in zip(whole, sharded, strict=True):
        assert after["best_step"] == before["best_step"] > 0
        assert after["losses"] == pytest.approx(before["losses"], rel=1e-4)
        assert after["scores"] == pytest.approx(before["scores"], rel=1e-4)
        for name in ("weight", "bias"):
            assert torch.allclose(*(torch.tensor(found["weights"][name]) for found in (before, after)), atol=1e-5)


def test_sharded_weights_cannot_be_resumed(tmp_path):
    done = torchrun("-m", "tests.training.sharded_worker", str(tmp_path), "short", "resume")
    assert done.returncode != 0
    assert "Got resume=true where weights are sharded (FSDP, DeepSpeed)" in done.stderr


@pytest.fixture
def settings(tmp_path):
    write_jsonl(tmp_path / "animals", rows())
    (tmp_path / "here").mkdir()
    small = ["ways=2", "shots=2", "queries=3", "episodes=20", "baselines=[centroid]", "training.steps=10"]
    config = ["--config-dir", str(ROOT / "tests" / "conf"), "encoder=fake", "learner=prototypical"]
    return ["-m", "fewshot.run", *config, *small, f"output={tmp_path / 'output'}", f"task.path={tmp_path / 'animals'}"]


def test_the_main_job_is_shown_and_written_once(settings, tmp_path):
    done = torchrun(*settings, "+task=folder", "classes=test", cwd=tmp_path / "here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Evaluating on 20 episodes") == 1
    assert done.stdout.count("\u2502 prototypical") == 1
    assert not done.stderr.strip(), done.stderr
    [path] = (tmp_path / "output").rglob("results.json")
    assert json.loads(path.read_text(encoding="utf-8"))["meta_training"]["steps"] == 10
    assert list((tmp_path / "here").iterdir()) == []
    assert sorted(child.name for child in (tmp_path / "output").iterdir()) == ["episodes", "folder", "trainings"]


def test_all_end_the_final_stage_when_the_first_has_no_more_time(settings, tmp_path):
    final = ["final_stage=head", "supports=3", "minutes=1e-9"]
    done = torchrun(*settings, "+task=folder", *final, cwd=tmp_path / "here")
    assert done.returncode == 0, done.stderr
    [path] = (tmp_path / "output").rglob("results.json")
    assert len(json.loads(path.read_text(encoding="utf-8"))["adaptation"]["each"]) == 1


def test_a_mistake_is_told_once_and_ends_all(settings, tmp_path):
    done = torchrun(*settings, "+task=folder", "shots=-1", cwd=tmp_path / "here")
    assert done.returncode != 0
    assert done.stderr.count("Got shots=-1") == 1
    assert "error: Got shots=-1" in done.stderr


def test_a_failure_in_another_process_says_which(settings, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import os, sys\nfrom fewshot import run\nfrom fewshot.errors import TaskError\n"
        "from fewshot.experiment.episodes import TaskEncoder\n"
        "if os.environ['RANK'] == '1':\n"
        "    def fail(*arguments): raise TaskError('the disk of this machine is full')\n"
        "    TaskEncoder.__call__ = fail\n"
        "sys.exit(run.main())\n",
        encoding="utf-8",
    )
    done = torchrun(str(broken), *settings[2:], "+task=folder", cwd=tmp_path / "here")
    assert done.returncode != 0
    assert "process 1: error: the disk of this machine is full" in done.stderr


def test_a_sweep_in_several_processes_is_refused(settings, tmp_path):
    done = torchrun(*settings, "+task=folder", "-m", "seed=1,2", cwd=tmp_path / "here")
    assert done.returncode != 0
    assert "Got -m in one of 2 processes, expected one run" in done.stderr
    assert list((tmp_path / "here").iterdir()) == []
