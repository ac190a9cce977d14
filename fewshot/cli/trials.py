"""Reports of a job of `hydra/sweeper=optuna` to its study while it trains, and pruning."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fewshot.cli.extras import needed
from fewshot.errors import FewshotError
from fewshot.storage import user_path

_STEPS = 1_000_000  # steps of an encoder's training are below, those of a learner's begin here
PRUNED = "pruned"  # user attribute of a trial


class PrunedTrial(FewshotError):
    """A trial that its study ends early; the message goes to the table of the sweep."""


def storage_url(config: DictConfig) -> str:
    """The storage of the studies of a sweep: `hydra.sweeper.storage`, else `studies.sqlite` in the output folder."""
    url = config.hydra.sweeper.storage
    if url is not None:
        return str(url)
    folder: Path = user_path(config.output, "output").absolute()
    return f"sqlite:///{folder / 'studies.sqlite'}"


def pruner(sweeper: DictConfig) -> Any:
    """The pruner that the settings of a sweeper describe."""
    import optuna

    return optuna.pruners.MedianPruner(n_startup_trials=sweeper.startup_trials) if sweeper.prune else None


def watch_of_trial(config: DictConfig) -> Callable[[str, int, float], None] | None:
    """A function that reports a valid accuracy to the trial of this job; None if it is a job of no trial.

    It takes the name of a training, a step and the accuracy, and raises `PrunedTrial` if the study ends the trial.
    """
    sweeper = HydraConfig.get().sweeper
    number = sweeper.get("trial")
    if number is None:
        return None
    optuna = needed("optuna", "sweep", "hydra/sweeper=optuna")
    with_hydra = DictConfig({"hydra": {"sweeper": sweeper}, "output": config.output})
    study = optuna.load_study(
        study_name=sweeper.study_name,
        storage=storage_url(with_hydra),
        pruner=pruner(sweeper) or optuna.pruners.NopPruner(),
    )
    trial = optuna.trial.Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)

    def watch(training: str, step: int, accuracy: float) -> None:
        trial.report(accuracy, step if training.endswith("-encoder") else _STEPS + step)
        if trial.should_prune():
            trial.set_user_attr(PRUNED, True)
            raise PrunedTrial(
                f"Pruned after step {step} with a valid accuracy of {100 * accuracy:.1f} %: the best so far is below "
                f"the median of earlier trials at this step."
            )

    return watch
