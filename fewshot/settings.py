"""What a run is asked to do, checked as a whole: every mistake is named at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fewshot.adaptation.ladder import STAGES
from fewshot.episodes.wrong_labels import wrong_places
from fewshot.errors import ConfigError, as_typed
from fewshot.learners.names import NAMES

METRICS = ("accuracy", "macro_f1", "ece")
FINAL_STAGES = ("none", "head", "light")  # that can be asked for by name below the stages that fine-tune
_CHOICES = {
    "strategy": ("auto", *STAGES),
    "classes": ("test", "all"),
    "protocol": ("auto", "sampled", "fixed_test"),
    "final_stage": ("auto", *FINAL_STAGES),
    "metric": METRICS,
}
_WHOLE = (
    ("shots", 0, ", where 0 leaves only the label names"),
    ("queries", 1, ""),
    ("episodes", 1, ""),
    ("test_texts", 1, ""),
    ("supports", 1, ""),
    ("seed", 0, ""),
)


@dataclass(frozen=True)
class Settings:
    """The settings of a run that belong to no config group.

    Args:
        ways: classes per test episode, or all (in Python None).
        shots: labelled texts per class; 0 goes by label names alone.
        queries: texts to classify per class.
        episodes: test episodes.
        label_names: use the names of the classes as evidence.
        realistic: unequal support sizes, at most ways * shots texts in all.
        support_noise: share of wrong labels in the test support.
        seed: of meta-training; test episodes do not depend on it.
        baselines: learners scored on the same episodes.
        strategy: auto or zero_shot, prototypes, attention, lora, adapter, full.
        final_stage: what tunes on each support: auto or none, head, light.
        classes: scored: test, or all of the task, and then none is trained on.
        protocol: auto, sampled episodes, or one fixed_test part of the texts.
        test_texts: of each class in the fixed test part, at most.
        supports: how many are drawn beside the fixed test part.
        minutes: after them the final stage begins no further support.
        metric: what a sweep optimises: accuracy, macro_f1 or ece.
        resume: continue from the newest checkpoint of the same training.
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
    strategy: str = "auto"
    final_stage: str = "auto"
    classes: str = "test"
    protocol: str = "auto"
    test_texts: int = 40
    supports: int = 5
    minutes: float = 10.0
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
        numbers = {name: float(values[name]) for name in ("support_noise", "minutes")}  # 1 and 1.0 are one setting
        return cls(**values | {"ways": ways, "baselines": tuple(values["baselines"])} | numbers)


def _refuse(values: Mapping[str, Any]) -> None:
    problems = [] if values["ways"] == "all" else _whole("ways", values["ways"], 2, "ways=5, or ways=all")
    for name, smallest, why in _WHOLE:
        problems += _whole(name, values[name], smallest, f"{name}={getattr(Settings, name)}", why)
    for name in ("label_names", "realistic", "resume"):
        if not isinstance(values[name], bool):
            problems.append(f"Got {name}={as_typed(values[name])}, expected true or false. Write {name}=false.")
    problems += _noise(values, sound=not problems and values["shots"] > 0)
    problems += [line for name, choices in _CHOICES.items() for line in _choice(name, values[name], choices)]
    problems += _minutes(values["minutes"])
    problems += _nothing_labelled(values)
    baselines = values["baselines"]
    if isinstance(baselines, str) or not isinstance(baselines, Sequence):
        problems.append(f"Got baselines={as_typed(baselines)}, expected a list such as baselines=[centroid,ridge].")
    elif unknown := [name for name in baselines if name not in NAMES]:
        problems.append(f"Got the baseline {unknown[0]!r}, expected some of {', '.join(NAMES)}. Correct it.")
    if problems:
        raise ConfigError("\n".join(problems))


def _choice(name: str, value: Any, choices: Sequence[str]) -> list[str]:
    if isinstance(value, str) and value in choices:
        return []
    return [f"Got {name}={as_typed(value)}, expected one of {', '.join(choices)}. Write {name}={choices[0]}."]


def _minutes(value: Any) -> list[str]:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return []
    return [f"Got minutes={as_typed(value)}, expected a number above 0. Write minutes={Settings.minutes}."]


def _nothing_labelled(values: Mapping[str, Any]) -> list[str]:
    """What cannot be had without a labelled text."""
    if values["shots"] == 0:
        why, cure = "shots=0", "Raise shots"
    elif values["strategy"] == "zero_shot":
        why, cure = "strategy=zero_shot", "Leave it out"
    else:
        return []
    if values["label_names"] is False:
        return [f"Got {why} with label_names=false, which leaves nothing to go by. {cure}, or use label names."]
    if values["realistic"] is True:
        return [f"Got {why} with realistic=true, and there are no texts to share out. Leave one out."]
    if values["support_noise"]:
        return [f"Got {why} with support_noise={values['support_noise']}, and there are no labels. Leave one out."]
    for name, fine in (("final_stage", ("auto", "none")), ("strategy", ("auto", "zero_shot"))):
        if values[name] not in fine:
            return [f"Got {why} with {name}={values[name]}, which needs labelled texts. {cure}, or write {name}=auto."]
    return []


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
