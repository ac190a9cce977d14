"""Launchers start a job again whose worker died, and give up after three times; the others have their results."""

import json
import math

import pytest
from hydra.core.utils import JobReturn, JobStatus

from fewshot.cli.sweep import ATTEMPTS, attempts_of
from fewshot.errors import ConfigError
from fewshot.storage import write_json
from hydra_plugins.fewshot_launchers import SubmititLauncher, WorkerLauncher
from tests.cli.test_main import in_a_new_process
from tests.conftest import CONF


class ScriptedLauncher(WorkerLauncher):
    """An engine that stops all its workers if one dies, as joblib does; `deadly` jobs die each time."""

    def __init__(self, folder, deadly, at_once=2):
        self.folder, self.deadly, self.at_once, self.runs = folder, deadly, at_once, []

    def _folder(self, number, overrides):
        return self.folder / str(number)

    def run(self, jobs):
        self.runs.append(list(jobs))
        ended, waiting = {}, list(jobs)
        while waiting:
            now, waiting = waiting[: self.at_once], waiting[self.at_once :]
            for number in now:
                folder = self._folder(number, jobs[number])
                folder.mkdir(exist_ok=True)
                write_json(folder / "job.json", {"overrides": jobs[number], "attempts": attempts_of(folder) + 1})
            if set(now) & self.deadly:
                return ended, "a worker was killed"
            ended |= {number: JobReturn(status=JobStatus.COMPLETED, _return_value=float(number)) for number in now}
        return ended, ""


def launched(launcher, n_jobs, first=0):
    returns = launcher.launch([[f"seed={first + number}"] for number in range(n_jobs)], first)
    return [job.return_value for job in returns]


def test_the_neighbours_of_a_deadly_job_have_their_results(tmp_path):
    launcher = ScriptedLauncher(tmp_path, deadly={3})

    values = launched(launcher, 6, first=2)

    assert [value for value in values if not math.isnan(value)] == [2.0, 4.0, 5.0, 6.0, 7.0]
    assert math.isnan(values[1])
    assert launcher.runs == [[2, 3, 4, 5, 6, 7], [4, 5, 6, 7], [2, 3], [2], [3]]
    job = json.loads((tmp_path / "3" / "job.json").read_text())
    assert (job["status"], job["attempts"], job["overrides"]) == ("failed", ATTEMPTS, ["seed=3"])
    assert job["message"].startswith("Its worker died 3 times (a worker was killed).")


def test_an_engine_that_starts_nothing_is_no_reason_to_try_again(tmp_path):
    class Empty(ScriptedLauncher):
        def run(self, jobs):
            self.runs.append(list(jobs))
            return {}, "no node is left"

    launcher = Empty(tmp_path, set())
    with pytest.raises(ConfigError, match=r"No job could be started \(no node is left\)"):
        launched(launcher, 2)
    assert launcher.runs == [[0, 1]]


def test_slurm_that_is_not_here_and_settings_that_it_does_not_know_get_a_sentence(tmp_path):
    pytest.importorskip("submitit", reason="needs the extra slurm")
    here = SubmititLauncher("slurm", str(tmp_path), partition="gpu", qos=None)
    assert here.parameters == {"slurm_partition": "gpu"}
    with pytest.raises(ConfigError, match=r"Could not hand jobs to slurm: .*srun"):
        here.run({0: []})
    with pytest.raises(ConfigError, match=r"Could not hand jobs to local: .*partition"):
        SubmititLauncher("local", str(tmp_path), partition="gpu").run({0: []})


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "package"), [("joblib", "joblib"), ("submitit_local", "submitit"), ("ray", "ray")])
def test_a_job_whose_worker_is_killed_is_started_again(engine, package, folder, tmp_path):
    pytest.importorskip(package, reason=f"hydra/launcher={engine} needs it")
    (tmp_path / "graves").mkdir()
    typed = ["-m", f"hydra/launcher={engine}", "task=folder", f"task.path={folder}", f"output={tmp_path / 'out'}"]
    typed += ["--config-dir", str(CONF), "encoder=fake", "learner=centroid", "ways=2", "queries=3", "episodes=20"]
    typed += [f"encoder.graves={tmp_path / 'graves'}", "encoder.deaths=1", "shots=1", "baselines=[]"]

    result = in_a_new_process(typed)

    assert result.returncode == 0, result.stdout + result.stderr
    (path,) = (tmp_path / "out").rglob("job.json")
    job = json.loads(path.read_text())
    assert (job["status"], job["attempts"]) == ("done", 2)
    assert "The worker of job 0 (" in result.stdout
    assert (path.parent / "results.json").is_file()
