"""Experiments as the main job composes them, for the benchmarks to repeat over splits and settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewshot.settings import Settings

from fewshot.cli.build import build
from fewshot.cli.compose import composed
from fewshot.encoders import Encoder
from fewshot.experiment import ExperimentResult, run_experiment

SPLITS = {"banking77": 5, "clinc150": 5, "medical_terms": 1}


def default_encoder(*overrides: str) -> Encoder:
    """The encoder of the main job, frozen."""
    return build(composed("encoder.trainable=none", *overrides), "encoder")


def splits_of(task: str) -> list[str]:
    """The class splits of a task."""
    return [f"{number:02d}" for number in range(1, SPLITS[task] + 1)]


def experiment(
    task: str, split: str, learner: str, encoder: Encoder, overrides: Sequence[str] = (), **settings: Any
) -> ExperimentResult:
    """What `python -m fewshot.run +task=TASK task.split=SPLIT learner=LEARNER SETTINGS` measures."""
    config = composed(f"+task={task}", f"task.split='{split}'", f"learner={learner}", *overrides)
    return run_experiment(
        build(config, "task"),
        encoder,
        lambda dim: build(config, "learner", dim=dim),
        build(config, "training"),
        Settings.checked(baselines=[], **settings),
        Path("outputs") / "episodes",
    )
