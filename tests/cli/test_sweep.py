"""Sweeps skip what is done, go on after a failure, and end with a table."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from fewshot.cli import sweep
from fewshot.errors import StorageError
from fewshot.report.__main__ import main as report
from tests.cli.test_main import ENVIRONMENT
from tests.conftest import CONF


@pytest.fixture
def swept(folder, command, tmp_path):
    """Calls of a sweep that all write to one output folder."""

    def call(*arguments):
        return command("-m", "task=folder", f"task.path={folder}", f"output={tmp_path / 'out'}", *arguments)

    return call


def jobs(tmp_path):
    return [json.loads(path.read_text()) for path in sorted((tmp_path / "out").rglob("job.json"))]


def results(tmp_path):
    return sorted((tmp_path / "out").rglob("results.json"))


def done(tmp_path):
    """How many jobs have their results and their model."""
    jobs = (json.loads(path.read_text()) for path in (tmp_path / "out").rglob("job.json"))
    return sum(job.get("status") == "done" for job in jobs)


def rows(text):
    return [line for line in text.splitlines() if line.startswith("\u2502 animals")]


def test_what_is_done_is_skipped_and_stands_in_the_table(swept, tmp_path):
    first = swept("shots=1,2")
    again = swept("shots=1,2,3")

    assert (first.status, again.status) == (0, 0)
    assert [job["status"] for job in jobs(tmp_path)] == ["done", "done", "skipped", "skipped", "done"]
    assert len(results(tmp_path)) == 3
    assert len(rows(first.out)) == 2
    assert len(rows(again.out)) == 3
    assert again.out.count("This run is done: ") == 2


@pytest.mark.slow
def test_other_settings_texts_or_code_are_not_done(swept, folder, tmp_path, monkeypatch):
    swept("shots=1,1", "seed=0")
    assert [job["status"] for job in jobs(tmp_path)] == ["done", "skipped"]

    swept("shots=1", "seed=1")
    with (folder / "texts.jsonl").open("a") as file:
        file.write('{"text": "one more", "label": "bear"}\n')
    swept("shots=1", "seed=0")
    monkeypatch.setattr(sweep, "installation", lambda: "changed")
    swept("shots=1", "seed=0")

    assert [job["status"] for job in jobs(tmp_path)] == ["done", "skipped", "done", "done", "done"]


def test_a_job_that_fails_is_a_row_and_the_others_go_on(swept, tmp_path, capsys):
    outcome = swept("shots=1,50,2")

    assert outcome.status == 2
    assert [job["status"] for job in jobs(tmp_path)] == ["done", "failed", "done"]
    assert len(rows(outcome.out)) == 2
    below = outcome.out[outcome.out.index("No results") :]
    assert "shots=50" in below
    assert "Lower shots" in " ".join(below.split())
    assert outcome.err.strip() == "error: 1 of 3 runs has no results, as the table says."
    assert "Traceback" not in outcome.out

    page = next((tmp_path / "out").rglob("comparison.html"))
    assert f"Page: {page}" in outcome.out
    assert "Without results" in page.read_text()
    assert page.read_text().count('/report.html">') == 2

    assert report([str(tmp_path / "out"), "-o", str(tmp_path / "both.html")]) == 0
    assert "shots=50" in capsys.readouterr().out
    assert "Lower shots" in (tmp_path / "both.html").read_text()


@pytest.mark.slow
def test_a_job_whose_model_was_not_saved_has_a_row_and_is_run_again(swept, tmp_path, monkeypatch):
    def full(*given):
        raise StorageError("Could not write the model: no space.")

    with monkeypatch.context() as patched:
        patched.setattr("fewshot.cli.job._save", full)
        first = swept("shots=1,2")
    again = swept("shots=1,2")

    assert (first.status, again.status) == (2, 0)
    assert (len(rows(first.out)), len(rows(again.out))) == (2, 2)
    assert "error: 2 of 2 runs could not keep their model: Could not write the model" in first.err
    assert [job["status"] for job in jobs(tmp_path)] == ["unsaved", "unsaved", "done", "done"]
    assert len(list((tmp_path / "out").rglob("meta_model.json"))) == 2


def test_an_error_that_should_not_happen_stops_one_job_alone(swept, tmp_path, monkeypatch):
    from fewshot.experiment import experiment

    whole = experiment.run_experiment

    def broken(recipe, task, protocol, store):
        if protocol.shots == 1:
            raise ZeroDivisionError("of shots")
        return whole(recipe, task, protocol, store)

    monkeypatch.setattr(experiment, "run_experiment", broken)
    outcome = swept("shots=1,2")

    assert outcome.status == 2
    assert [job["status"] for job in jobs(tmp_path)] == ["failed", "done"]
    assert jobs(tmp_path)[0]["message"] == "ZeroDivisionError: of shots"
    (log,) = [path for path in (tmp_path / "out").rglob("run.log") if "ZeroDivisionError" in path.read_text()]
    assert "Traceback" in log.read_text(), "the log of the job says where"


def test_a_failure_that_was_mended_is_no_row(swept, folder, tmp_path, capsys):
    text = (folder / "texts.jsonl").read_text()
    (folder / "texts.jsonl").write_text("no json")
    assert swept("shots=1").status == 2
    (folder / "texts.jsonl").write_text(text)
    assert swept("shots=1").status == 0

    assert report([str(tmp_path / "out")]) == 0
    assert "No results" not in capsys.readouterr().out


def test_damaged_results_of_another_run_do_not_stop_a_sweep(swept, tmp_path):
    swept("shots=1")
    (path,) = results(tmp_path)
    path.write_text("{")

    outcome = swept("shots=1")

    assert outcome.status == 0
    assert [job["status"] for job in jobs(tmp_path)] == ["done", "done"]


@pytest.mark.slow
def test_a_sweep_that_is_killed_three_times_runs_each_job_once(folder, tmp_path):
    typed = [sys.executable, "-m", "fewshot.run", "-m", "task=folder", f"task.path={folder}"]
    typed += [f"output={tmp_path / 'out'}", "--config-dir", str(CONF), "encoder=fake", "ways=2", "queries=3"]
    typed += ["shots=1,2,3", "learner=centroid,prototypical,maml,ridge", "episodes=200", "training.steps=30"]
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(CONF.parent.parent)}
    whole = 0
    for wanted in (2, 5, 9):
        with subprocess.Popen(typed, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while len(results(tmp_path)) < wanted and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert done(tmp_path) >= max(wanted - 3, whole)  # of each killed one the model may be missing
        whole = done(tmp_path)
    assert whole < 12, "it was killed before its end"

    last = subprocess.run(typed, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert last.returncode == 0, last.stderr
    assert done(tmp_path) == 12
    assert len(results(tmp_path)) <= 12 + 3
    assert len(rows(last.stdout)) == 12
    assert last.stdout.count("This run is done: ") == whole
