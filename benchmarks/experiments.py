"""Experiments as the main job composes them, for the benchmarks to repeat over splits and settings."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fewshot.cli.build import build
from fewshot.cli.compose import composed
from fewshot.cli.job import recipe_of
from fewshot.cli.settings import RunSettings
from fewshot.cli.typed import normalise_arguments
from fewshot.encoders import Encoder
from fewshot.experiment.experiment import run_experiment
from fewshot.experiment.protocol import Protocol
from fewshot.experiment.result import ExperimentResult
from fewshot.recipe import Recipe
from fewshot.tasks import Task, load_folder
from fewshot.training import Store

SPLITS = {"banking77": 5, "clinc150": 5, "medical_terms": 1}
STORE = Store(episodes=Path("outputs") / "episodes")


def typed(*overrides: str) -> list[str]:
    """Overrides as the command line hands them to Hydra; any task where none is named."""
    named = any(override.lstrip("+").startswith("task=") for override in overrides)
    return normalise_arguments([*([] if named else ["task=medical_terms"]), *overrides])


def recipe(*overrides: str) -> Recipe:
    """What `python -m fewshot.run OVERRIDES` makes."""
    config = composed(*typed(*overrides), with_hydra=True)
    return recipe_of(config, RunSettings(), config.hydra.runtime.choices)


def frozen(*overrides: str) -> Recipe:
    """The same, with the encoder as it is and without new texts."""
    return replace(recipe(*overrides), trainable="none", augmentation=None)


def default_encoder(*overrides: str) -> Encoder:
    """The encoder of the main job."""
    return build(composed(*typed(*overrides)), "encoder")


def splits_of(task: str) -> list[str]:
    """The class splits of a task."""
    return [f"{number:02d}" for number in range(1, SPLITS[task] + 1)]


def load(task: str, split: str = "01") -> Task:
    """A task with one of its class splits, or a folder of `$FEWSHOT_DATA` that has none."""
    if task not in SPLITS:
        return load_folder(Path(os.environ["FEWSHOT_DATA"]) / task, duplicates="drop")
    return build(composed(*typed(f"task={task}", f"task.split='{split}'")), "task")


def protocol(**settings: Any) -> Protocol:
    """A protocol without baselines; `ways` may be "all"."""
    return RunSettings.checked(baselines=[], **settings).scored


def experiment(
    task: str, split: str, learner: str, encoder: Encoder, overrides: Sequence[str] = (), **settings: Any
) -> ExperimentResult:
    """What `python -m fewshot.run +task=TASK task.split=SPLIT learner=LEARNER SETTINGS` measures, encoder frozen."""
    how = replace(frozen(f"learner={learner}", *overrides), encoder=encoder)
    return run_experiment(how, load(task, split), protocol(**settings), STORE)
