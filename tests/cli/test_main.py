"""What is typed, and what comes back."""

import os
import subprocess
import sys

import pytest

from fewshot.cli.compose import choices
from fewshot.report.__main__ import main as report
from tests.conftest import CONF as TEST_CONF

ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "HF_HUB_OFFLINE": "1"}


def test_without_a_task_the_tasks_are_listed_on_one_screen(command):
    outcome = command(small=False)

    lines = outcome.err.splitlines()
    assert outcome.status == 2
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for name, comment in choices("task").items():
        assert any(f"+task={name} " in line and line.endswith(comment) for line in lines)
    assert "Traceback" not in outcome.err


def test_a_sweep_writes_results_for_each_job_and_one_table(folder, command, capsys):
    outcome = command("-m", "task=folder", f"task.path={folder}", "shots=1,2", "learner=centroid,prototypical")

    assert outcome.status == 0
    assert len(outcome.results_files) == 4

    assert report([str(outcome.output)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("\u2502 animals")]
    cells = [[cell.strip() for cell in line.split("\u2502")[1:-1]] for line in lines]
    assert [(row[3], row[4]) for row in cells] == [
        ("1", "centroid"),
        ("1", "prototypical"),
        ("2", "centroid"),
        ("2", "prototypical"),
    ]
    differences = [row[6] for row in cells]
    assert differences[0] == differences[2] == "", "the first run on some episodes is the reference"
    assert all(difference[0] in "+-" and " \u00b1 " in difference for difference in (differences[1], differences[3]))


def test_ctrl_c_is_one_line_and_130(folder, command):
    outcome = command("task=folder", f"task.path={folder}", "encoder.broken=interrupt")

    assert outcome.status == 130
    assert outcome.err.strip().startswith("Stopped.")
    assert len(outcome.err.strip().splitlines()) == 1
    assert outcome.results_files == []


def test_a_bug_is_not_hidden_behind_a_sentence(folder, command, monkeypatch):
    def bug(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("fewshot.experiment.experiment.run_experiment", bug)

    with pytest.raises(ZeroDivisionError):
        command("task=folder", f"task.path={folder}")


def test_the_config_can_be_shown(command):
    outcome = command("--cfg", "job", "+task=medical_terms", small=False)

    assert outcome.status == 0
    assert "name: medical_terms" in outcome.out
    assert "shots: auto" in outcome.out
    assert outcome.results_files == []


def test_the_calling_process_is_left_as_it_was(folder, command):
    before = list(sys.argv), dict(os.environ), os.getcwd()

    command("task=folder", f"task.path={folder}")

    after = list(sys.argv), dict(os.environ), os.getcwd()
    changed = {key for key in after[1].keys() | before[1].keys() if after[1].get(key) != before[1].get(key)}
    assert "HYDRA_FULL_ERROR" not in changed
    assert (after[0], after[2]) == (before[0], before[2])


def in_a_new_process(arguments, environment=None, cwd=None):
    """`python -m fewshot.run ARGUMENTS`."""
    return subprocess.run(
        [sys.executable, "-m", "fewshot.run", *arguments],
        cwd=cwd,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(TEST_CONF.parent.parent)} | (environment or {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_a_mistake_in_a_process_of_the_joblib_launcher_gets_a_sentence(folder, tmp_path):
    result = in_a_new_process(
        [
            *("-m", "hydra/launcher=joblib", "task=folder", f"task.path={folder}", f"output={tmp_path / 'out'}"),
            *("--config-dir", str(TEST_CONF), "encoder=fake", "learner=centroid", "ways=2", "queries=3", "episodes=20"),
            "shots=2,50",
        ]
    )

    assert len(list((tmp_path / "out").rglob("results.json"))) == 1
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "error: 1 of 2 runs has no results, as the table says."
    assert "error: Class " in result.stdout
    assert "Traceback" not in result.stderr
