"""Launchers of sweeps: `hydra/launcher=joblib`, `submitit_local`, `submitit_slurm` and `ray`.

Hydra finds its plugins in the namespace `hydra_plugins`. A job whose worker dies is started again; `job.json` in its
folder counts how often it was.
"""

import logging
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from fewshot.cli.extras import needed
from fewshot.cli.sweep import ATTEMPTS, attempts_of, write_lost
from fewshot.errors import ConfigError

log = logging.getLogger(__name__)

Jobs = Mapping[int, Sequence[str]]  # number of a job → its overrides
Returns = dict[int, JobReturn]

_SUBMITIT = {"timeout_min", "cpus_per_task", "gpus_per_node", "mem_gb", "nodes", "name"}  # names on every cluster


class Job:
    """What a worker gets: `job(number, overrides)` runs a job of a sweep there."""

    def __init__(self, launcher: "WorkerLauncher") -> None:
        self.launcher, self.state = launcher, Singleton.get_state()

    def __call__(self, number: int, overrides: Sequence[str]) -> JobReturn:
        """Run it."""
        setup_globals()
        Singleton.set_state(self.state)
        return run_job(
            hydra_context=self.launcher.hydra_context,
            task_function=self.launcher.task_function,
            config=self.launcher.config_of(number, overrides),
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )

    def checkpoint(self, number: int, overrides: Sequence[str]) -> Any:
        """What submitit starts anew where SLURM preempts a job or its time is over."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, number, overrides)


class WorkerLauncher(Launcher):
    """Runs jobs in workers of an engine; those whose worker dies are started again, `ATTEMPTS` times in all.

    Jobs that were started least often come first. The last attempt has the engine to itself, so that a job that takes
    its neighbours along (joblib stops all workers if one dies) is lost alone in the end.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """See `hydra.plugins.launcher.Launcher`."""
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def config_of(self, number: int, overrides: Sequence[str]) -> DictConfig:
        """The config of a job."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = f"{config.hydra.job.name}_{number}"
            config.hydra.job.num = number
        return config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs; the value of one whose worker died each time is NaN.

        Raises:
            ConfigError: the engine is not installed, or starts no job.
        """
        setup_globals()
        jobs = dict(enumerate(job_overrides, initial_job_idx))
        attempts: dict[int, int] = dict.fromkeys(jobs, 0)
        returns: Returns = {}
        while waiting := [number for number in jobs if number not in returns]:
            fewest = min(attempts[number] for number in waiting)
            chosen = [number for number in waiting if attempts[number] == fewest]
            if fewest == ATTEMPTS - 1:
                chosen = chosen[:1]
            ended, reason = self.run({number: jobs[number] for number in chosen})
            returns |= ended
            lost = {number: self._folder(number, jobs[number]) for number in chosen if number not in ended}
            started = {number: attempts_of(folder) for number, folder in lost.items()}
            if lost and all(attempts[number] == count for number, count in started.items()):
                raise ConfigError(f"No job could be started ({reason}). Look at the log of the sweep's folder.")
            attempts |= started
            for number in [number for number in lost if attempts[number] > fewest]:
                typed = " ".join(jobs[number])
                if attempts[number] < ATTEMPTS:
                    log.warning(f"The worker of job {number} ({typed}) died: {reason}. The job is started again.")
                else:
                    write_lost(lost[number], reason)
                    returns[number] = JobReturn(status=JobStatus.COMPLETED, _return_value=float("nan"))
        return [returns[number] for number in jobs]

    @abstractmethod
    def run(self, jobs: Jobs) -> tuple[Returns, str]:
        """Run jobs once: the returns of those that came to an end, and why there are fewer, if so."""

    def _folder(self, number: int, overrides: Sequence[str]) -> Path:
        config = self.config_of(number, overrides)
        HydraConfig.instance().set_config(config)  # which the number of a job is read from
        sweep = config.hydra.sweep
        return Path(sweep.dir, sweep.subdir)


class JoblibLauncher(WorkerLauncher):
    """Processes of this machine.

    Args:
        n_jobs: how many run at once; -1 are as many as there are cores.
    """

    def __init__(self, n_jobs: int = -1) -> None:
        self.n_jobs = n_jobs

    def run(self, jobs: Jobs) -> tuple[Returns, str]:
        """See `WorkerLauncher`."""
        from joblib import cpu_count
        from joblib.externals.loky import ProcessPoolExecutor, as_completed
        from joblib.externals.loky.process_executor import BrokenProcessPool

        job, returns, reason = Job(self), dict[int, JobReturn](), ""
        n_workers = min(len(jobs), self.n_jobs if self.n_jobs > 0 else cpu_count())
        threads = str(max(1, cpu_count() // n_workers))
        with ProcessPoolExecutor(
            n_workers, env={"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)}
        ) as pool:
            numbers = {pool.submit(job, number, overrides): number for number, overrides in jobs.items()}
            for future in as_completed(numbers):
                try:
                    returns[numbers[future]] = future.result()
                except BrokenProcessPool as error:
                    reason = _line(error)
        return returns, reason


class SubmititLauncher(WorkerLauncher):
    """Jobs of SLURM, or processes of this machine started in the same way.

    Args:
        cluster: slurm or local.
        submitit_folder: for submitit's logs and results, seen by all nodes; %j is the number of a job.
        max_num_timeout: how often a job whose time is over goes on from its checkpoint.
        **parameters: `timeout_min`, `cpus_per_task`, `gpus_per_node`, `mem_gb`, `nodes` and `name`; and for SLURM those
            of `sbatch`, such as `partition` and `account`, with `array_parallelism` for the jobs that run at once.
    """

    def __init__(self, cluster: str, submitit_folder: str, max_num_timeout: int = 3, **parameters: Any) -> None:
        self.cluster, self.folder, self.max_num_timeout = cluster, submitit_folder, max_num_timeout
        given = {name: value for name, value in parameters.items() if value is not None}
        self.parameters = {name if name in _SUBMITIT else f"{cluster}_{name}": value for name, value in given.items()}

    def run(self, jobs: Jobs) -> tuple[Returns, str]:
        """See `WorkerLauncher`."""
        submitit = needed("submitit", "slurm", f"hydra/launcher=submitit_{self.cluster}")
        limits = {"slurm_max_num_timeout": self.max_num_timeout} if self.cluster == "slurm" else {}
        try:
            executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster, **limits)
            executor.update_parameters(**self.parameters)
            submitted = executor.map_array(Job(self), list(jobs), list(map(list, jobs.values())))
        except (RuntimeError, NameError, TypeError) as error:  # no SLURM here, and settings that submitit does not know
            raise ConfigError(
                f"Could not hand jobs to {self.cluster}: {_line(error)}. Correct hydra.launcher, or write "
                f"hydra/launcher=joblib."
            ) from error
        returns, reason = dict[int, JobReturn](), ""
        for number, handed_in in zip(jobs, submitted, strict=True):
            try:
                returns[number] = handed_in.result()
            except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
                reason = _line(error)
        return returns, reason


class RayLauncher(WorkerLauncher):
    """Tasks of Ray, on this machine or a cluster whose nodes see the same files.

    Args:
        address: of a cluster, such as `auto` or `ray://head:10001`; None starts Ray on this machine.
        num_cpus: that a job takes.
        num_gpus: that a job takes.
    """

    def __init__(self, address: str | None = None, num_cpus: float = 1, num_gpus: float = 0) -> None:
        self.address, self.resources = address, {"num_cpus": num_cpus, "num_gpus": num_gpus}

    def run(self, jobs: Jobs) -> tuple[Returns, str]:
        """See `WorkerLauncher`."""
        from fewshot.cli.on_ray import start_ray

        ray = start_ray(self.address, "hydra/launcher=ray")
        remote = ray.remote(max_retries=0, **self.resources)(_call)
        job, returns, reason = ray.put(Job(self)), dict[int, JobReturn](), ""
        for number, task in [(number, remote.remote(job, number, typed)) for number, typed in jobs.items()]:
            try:
                returns[number] = ray.get(task)
            except ray.exceptions.RayError as error:
                reason = _line(error)
        return returns, reason


def _call(job: Job, number: int, overrides: Sequence[str]) -> JobReturn:
    return job(number, overrides)


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:300]
