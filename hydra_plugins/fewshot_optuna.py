"""A sweeper on Optuna's ask and tell: `hydra/sweeper=optuna`.

A study is kept in an SQLite file, so that the same command goes on with it. What it optimises is the accuracy on valid
classes; test classes have no part in it.
"""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from fewshot.cli.extras import needed
from fewshot.cli.sweep import OF_NO_NUMBER
from fewshot.cli.trials import PRUNED, pruner, storage_url
from fewshot.errors import ConfigError, redacted
from fewshot.storage import file_name, user_path, write_text

log = logging.getLogger(__name__)

METRIC = "valid_accuracy"
_STOPPED = "stopped"  # user attribute of a trial that a call left behind


class OptunaSweeper(Sweeper):
    """Draws the settings of each run by the valid accuracies of earlier ones.

    Args:
        n_trials: in all, those of earlier calls too.
        n_jobs: trials that are launched at once.
        study_name: None: by the task and what is typed.
        storage: an address as Optuna has it; None: `studies.sqlite` in the output folder.
        direction: maximize or minimize.
        seed: of what is drawn; None: another one each time.
        startup_trials: are drawn at random, and not pruned.
        prune: end a trial whose valid accuracy stays below the median of earlier ones.
        params: setting → its values, beside those that are typed.
    """

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        study_name: str | None,
        storage: str | None,
        direction: str,
        seed: int | None,
        startup_trials: int,
        prune: bool,
        params: Mapping[str, Any],
    ) -> None:
        self.n_trials, self.n_jobs, self.study_name, self.direction = n_trials, n_jobs, study_name, direction
        self.seed, self.startup_trials, self.params = seed, startup_trials, params
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """See `hydra.plugins.sweeper.Sweeper`."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run trials until the study has as many as are asked for.

        Raises:
            ConfigError: nothing to search, or a study that cannot be opened or is of other settings.
        """
        optuna = needed("optuna", "sweep", "hydra/sweeper=optuna")
        from sqlalchemy.exc import SQLAlchemyError

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*(f"{key}={value}" for key, value in self.params.items()), *arguments])
        fixed = [f"{one.get_key_element()}={one.get_value_element_as_str()}" for one in overrides if not _swept(one)]
        space = {one.get_key_element(): distribution(one) for one in overrides if _swept(one)}
        self._check(fixed, space)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        name = self.study_name or self._name(arguments)
        try:
            study = self._study(name)
            self._take_up(study)
            self._run(study, name, fixed, space)
        except (optuna.exceptions.OptunaError, SQLAlchemyError, ImportError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                f"The study {name!r} cannot be used with these settings: {str(error).splitlines()[0]}. Name another "
                f"hydra.sweeper.study_name, or correct hydra.sweeper."
            ) from error
        self._report(study, folder)

    def _check(self, fixed: Sequence[str], space: Mapping[str, Any]) -> None:
        if not space:
            raise ConfigError(
                "Got hydra/sweeper=optuna without a setting to search. Write one such as "
                "'training.learning_rate=tag(log, interval(1e-4, 1e-2))' or 'learner=choice(ridge, logistic)'."
            )
        metrics = [one.partition("=")[2] for one in fixed if one.lstrip("+").startswith("metric=")]
        if set(metrics) - {METRIC} or "metric" in space:
            raise ConfigError(
                f"Got metric={metrics[0] if metrics else '...'} with hydra/sweeper=optuna, which goes by {METRIC}: "
                f"settings that are chosen on test classes say nothing about others. Leave it out."
            )

    def _name(self, arguments: Sequence[str]) -> str:
        searched = [*arguments, *(f"{key}={value}" for key, value in self.params.items())]
        typed = "\n".join(sorted(one for one in searched if one.partition("=")[0] not in OF_NO_NUMBER))
        return file_name(
            f"{self.config.hydra.runtime.choices.get('task')}-{hashlib.sha256(typed.encode()).hexdigest()[:8]}"
        )

    def _study(self, name: str) -> Any:
        import optuna

        user_path(self.config.output, "output").mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=storage_url(self.config), study_name=name, direction=self.direction, load_if_exists=True,
            pruner=pruner(self.config.hydra.sweeper),
        )  # fmt: skip
        seed = None if self.seed is None else self.seed + len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.startup_trials)
        return study

    def _take_up(self, study: Any) -> None:
        """Put what an earlier call left unfinished in the queue again."""
        from optuna.trial import Trial, TrialState

        for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            Trial(study, left._trial_id).set_user_attr(_STOPPED, True)
            study.tell(left.number, state=TrialState.FAIL)
            study.enqueue_trial(left.params)

    def _run(self, study: Any, name: str, fixed: Sequence[str], space: Mapping[str, Any]) -> None:
        assert self.launcher is not None
        launched = 0
        while left := self.n_trials - len(_ended(study)):
            trials = [study.ask(space) for _ in range(min(self.n_jobs, left))]
            batch = [
                [
                    *fixed,
                    *(f"{key}={trial.params[key]}" for key in space),
                    f"metric={METRIC}",
                    f"hydra.sweeper.study_name='{_escaped(name)}'",
                    f"++hydra.sweeper.trial={trial.number}",
                ]
                for trial in trials
            ]
            self.validate_batch_is_legal(batch)
            for trial, job in zip(trials, self.launcher.launch(batch, initial_job_idx=launched), strict=True):
                _tell(study, trial.number, job)
            launched += len(batch)

    def _report(self, study: Any, folder: Path) -> None:
        ended = _ended(study)
        values = [trial for trial in ended if trial.value is not None and not trial.user_attrs.get(PRUNED)]
        n_pruned = sum(trial.user_attrs.get(PRUNED, False) for trial in ended)
        if not values:
            log.warning(f"None of {len(ended)} trials has a valid accuracy.")
            return
        best = study.best_trial
        typed = " ".join(f"{key.lstrip('+')}={value}" for key, value in best.params.items())
        log.info(
            f"Best of {len(ended)} trials ({n_pruned} pruned), number {best.number}: {typed}, valid accuracy "
            f"{100 * best.value:.1f} %. The study {study.study_name!r} is in {redacted(storage_url(self.config))}"
        )
        params = {key.lstrip("+"): value for key, value in best.params.items()}
        content = {"name": "optuna", "best_params": params, "best_value": best.value}
        write_text(folder / "optimization_results.yaml", OmegaConf.to_yaml(OmegaConf.create(content)))


def distribution(override: Override) -> Any:
    """Optuna's distribution of a swept setting; for choices, of their texts as they are typed.

    Example:
        >>> parser = OverridesParser.create()
        >>> [distribution(parser.parse_override(typed)) for typed in ("a=choice(x,y)", "b=range(1,6,2)")]
        [CategoricalDistribution(choices=('x', 'y')), IntDistribution(high=5, log=False, low=1, step=2)]
        >>> distribution(parser.parse_override("c=tag(log, interval(1e-4, 1e-2))"))
        FloatDistribution(high=0.01, log=True, low=0.0001, step=None)

    Raises:
        ConfigError: bounds that leave nothing to draw.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if override.is_choice_sweep():
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    swept = override.value()
    assert isinstance(swept, (IntervalSweep, RangeSweep))
    is_log = "log" in swept.tags
    try:
        if isinstance(swept, IntervalSweep):
            if type(swept.start) is type(swept.end) is int:
                return IntDistribution(swept.start, swept.end, log=is_log)
            return FloatDistribution(float(swept.start), float(swept.end), log=is_log)
        numbers = sorted(swept.range())
        step = abs(swept.step)
        if all(isinstance(number, int) for number in numbers):
            return IntDistribution(numbers[0], numbers[-1], log=is_log, step=int(step))
        return FloatDistribution(float(numbers[0]), float(numbers[-1]), step=float(step))
    except (ValueError, IndexError, TypeError) as error:
        raise ConfigError(
            f"Got {override.input_line}: {error}. Expected a range with a number in it, such as interval(0.1, 0.5), "
            f"range(1, 10) or tag(log, interval(1e-4, 1e-2))."
        ) from error


def _swept(override: Override) -> bool:
    return bool(override.is_sweep_override())


def _ended(study: Any) -> list[Any]:
    """Trials that ended, but for those that a call left behind."""
    from optuna.trial import TrialState

    over = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    return [trial for trial in study.get_trials(deepcopy=False, states=over) if _STOPPED not in trial.user_attrs]


def _tell(study: Any, number: int, job: JobReturn) -> None:
    from optuna.trial import TrialState

    value = float(job.return_value)
    if not math.isnan(value):
        study.tell(number, value)
    elif study.get_trials(deepcopy=False)[number].user_attrs.get(PRUNED):
        study.tell(number, state=TrialState.PRUNED)
    else:
        study.tell(number, state=TrialState.FAIL)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
