"""Experiments as the main job composes them, for the benchmarks to repeat over splits and settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from fewshot.encoders import Encoder
from fewshot.experiment import ExperimentResult, run_experiment
from fewshot.resources import shipped
from fewshot.run import build
from fewshot.settings import Settings

SPLITS = {"banking77": 5, "clinc150": 5, "medical_terms": 1}


def composed(*overrides: str) -> DictConfig:
    """The config of the main job with overrides; those of a group need not stand in its YAML."""
    typed = [f"++{one}" if "." in one.partition("=")[0] and one[0] not in "+~" else one for one in overrides]
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        return compose("run", typed)


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
