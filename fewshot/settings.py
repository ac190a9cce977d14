"""What a run is asked to do, checked as a whole: every mistake is named at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fewshot.arguments import as_typed
from fewshot.episodes.noise import wrong_places
from fewshot.errors import ConfigError
from fewshot.learners import LEARNERS

METRICS = ("accuracy", "macro_f1", "ece")
_WHOLE = (
    ("shots", 1, ", for at least one labelled text per class is needed"),
    ("queries", 1, ""),
    ("episodes", 1, ""),
    ("seed", 0, ""),
)


@dataclass(frozen=True)
class Settings:
    """The settings of a run that belong to no config group.

    Args:
        ways: classes per test episode; None means all.
        shots: labelled texts per class.
        queries: texts to classify per class.
        episodes: number of test episodes.
        label_names: whether learners may use label names.
        realistic: unequal support sizes.
        support_noise: share of wrong labels in the test support.
        seed: root seed of training.
        baselines: names of learners scored on the same episodes.
        metric: what the run returns.
        resume: whether trainings go on from their newest checkpoints.
    """

    ways: int | None = 5
    shots: int = 5
    queries: int = 15
    episodes: int = 600
    label_names: bool = True
    realistic: bool = False
    support_noise: float = 0.0
    seed: int = 0
    baselines: tuple[str, ...] = ("centroid", "logistic", "ridge")
    metric: str = "accuracy"
    resume: bool = False

    def __post_init__(self) -> None:
        """Refuse values that cannot be run.

        Raises:
            ConfigError: one line for each.
        """
        _refuse({**vars(self), "ways": "all" if self.ways is None else self.ways})

    @classmethod
    def checked(cls, **values: Any) -> "Settings":
        """Settings from values as a user may write them.

        Args:
            **values: the fields; `ways` may be "all", `baselines` any sequence.

        Raises:
            ConfigError: one line for each setting that cannot be used.

        Example:
            >>> Settings.checked(ways="all", shots=1).ways is None
            True
        """
        values = {field.name: field.default for field in fields(cls)} | values
        _refuse(values)
        ways = None if values["ways"] == "all" else values["ways"]
        noise = float(values["support_noise"])  # 1 and 1.0 are one setting
        return cls(**values | {"ways": ways, "support_noise": noise, "baselines": tuple(values["baselines"])})


def _refuse(values: Mapping[str, Any]) -> None:
    problems = [] if values["ways"] == "all" else _whole("ways", values["ways"], 2, "ways=5, or ways=all")
    for name, smallest, why in _WHOLE:
        problems += _whole(name, values[name], smallest, f"{name}={getattr(Settings, name)}", why)
    for name in ("label_names", "realistic", "resume"):
        if not isinstance(values[name], bool):
            problems.append(f"Got {name}={as_typed(values[name])}, expected true or false. Write {name}=false.")
    problems += _noise(values, sound=not problems)
    if values["metric"] not in METRICS:
        metric = as_typed(values["metric"])
        problems.append(f"Got metric={metric}, expected one of {', '.join(METRICS)}. Write metric={METRICS[0]}.")
    baselines = values["baselines"]
    if isinstance(baselines, str) or not isinstance(baselines, Sequence):
        problems.append(f"Got baselines={as_typed(baselines)}, expected a list such as baselines=[centroid,ridge].")
    elif unknown := [name for name in baselines if name not in LEARNERS]:
        problems.append(f"Got the baseline {unknown[0]!r}, expected some of {', '.join(LEARNERS)}. Correct it.")
    if problems:
        raise ConfigError("\n".join(problems))


def _noise(values: Mapping[str, Any], sound: bool) -> list[str]:
    noise, shots = values["support_noise"], values["shots"]
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise <= 1:
        return [f"Got support_noise={as_typed(noise)}, expected a share between 0 and 1 such as 0.2."]
    if noise and values["realistic"]:
        return [f"Got support_noise={noise} with realistic=true; noise needs equal support sizes. Leave one out."]
    if noise and sound and not wrong_places(float(noise), shots):
        return [f"Got support_noise={noise}, which is no text of {shots} shots. Raise one of them."]
    return []


def _whole(name: str, value: Any, smallest: int, example: str, why: str = "") -> list[str]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= smallest:
        return []
    return [f"Got {name}={as_typed(value)}, expected a whole number of {smallest} or more{why}. Write {example}."]
