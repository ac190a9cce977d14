"""Which episodes of which classes an experiment scores; every mistake is named at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewshot.episodes.wrong_labels import wrong_places
from fewshot.errors import ConfigError, as_typed
from fewshot.learners.names import NAMES

_CHOICES = {"classes": ("test", "all"), "protocol": ("auto", "sampled", "fixed_test")}
_WHOLE = (
    ("shots", 0, ", where 0 leaves only the label names"),
    ("queries", 1, ""),
    ("episodes", 1, ""),
    ("test_texts", 1, ""),
    ("supports", 1, ""),
    ("seed", 0, ""),
)


@dataclass(frozen=True)
class Protocol:
    """The episodes of an experiment.

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
        classes: scored: test, or all of the task, and then none is trained on.
        protocol: auto, sampled episodes, or one fixed_test part of the texts.
        test_texts: of each class in the fixed test part, at most.
        supports: how many are drawn beside the fixed test part.
        minutes: after them the final stage begins no further support.

    Raises:
        ConfigError: one line for each value that cannot be used.
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
    classes: str = "test"
    protocol: str = "auto"
    test_texts: int = 40
    supports: int = 5
    minutes: float = 10.0

    def __post_init__(self) -> None:
        problems = self.problems({**vars(self), "ways": "all" if self.ways is None else self.ways})
        if problems:
            raise ConfigError("\n".join(problems))

    @classmethod
    def problems(cls, values: Mapping[str, Any]) -> list[str]:
        """A sentence for each value that cannot be used.

        Args:
            values: the fields as a user may write them; `ways` may be "all", `baselines` any sequence.
        """
        problems = [] if values["ways"] == "all" else whole("ways", values["ways"], 2, "ways=5, or ways=all")
        for name, smallest, why in _WHOLE:
            problems += whole(name, values[name], smallest, f"{name}={getattr(cls, name)}", why)
        problems += [line for name in ("label_names", "realistic") for line in boolean(name, values[name])]
        problems += _noise(values, sound=not problems and values["shots"] > 0)
        problems += [line for name, choices in _CHOICES.items() for line in choice(name, values[name], choices)]
        minutes = values["minutes"]
        if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0 < minutes < math.inf:
            problems.append(f"Got minutes={as_typed(minutes)}, expected a number above 0. Write minutes={cls.minutes}.")
        if values["shots"] == 0:
            problems += nothing_labelled("shots=0", "Raise shots", values)
        baselines = values["baselines"]
        if isinstance(baselines, str) or not isinstance(baselines, Sequence):
            problems.append(f"Got baselines={as_typed(baselines)}, expected a list such as baselines=[centroid,ridge].")
        elif unknown := [name for name in baselines if name not in NAMES]:
            problems.append(f"Got the baseline {unknown[0]!r}, expected some of {', '.join(NAMES)}. Correct it.")
        return problems


def nothing_labelled(got: str, cure: str, values: Mapping[str, Any]) -> list[str]:
    """What cannot be used without a labelled text: why there is none, the setting, and what brings some."""
    if values["label_names"] is False:
        return [f"Got {got} with label_names=false, which leaves nothing to go by. {cure}, or use label names."]
    if values["realistic"] is True:
        return [f"Got {got} with realistic=true, and there are no texts to share out. Leave one out."]
    if values["support_noise"]:
        return [f"Got {got} with support_noise={values['support_noise']}, and there are no labels. Leave one out."]
    return []


def choice(name: str, value: Any, choices: Sequence[str]) -> list[str]:
    """The sentence on a value that is none of the choices, if it is none."""
    if isinstance(value, str) and value in choices:
        return []
    return [f"Got {name}={as_typed(value)}, expected one of {', '.join(choices)}. Write {name}={choices[0]}."]


def boolean(name: str, value: Any) -> list[str]:
    """The sentence on a value that is neither true nor false, if it is neither."""
    if isinstance(value, bool):
        return []
    return [f"Got {name}={as_typed(value)}, expected true or false. Write {name}=false."]


def whole(name: str, value: Any, smallest: int, example: str, why: str = "") -> list[str]:
    """The sentence on a value that is no whole number of `smallest` or more, if it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= smallest:
        return []
    return [f"Got {name}={as_typed(value)}, expected a whole number of {smallest} or more{why}. Write {example}."]


def _noise(values: Mapping[str, Any], sound: bool) -> list[str]:
    noise, shots = values["support_noise"], values["shots"]
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise <= 1:
        return [f"Got support_noise={as_typed(noise)}, expected a share between 0 and 1 such as 0.2."]
    if noise and values["realistic"]:
        return [f"Got support_noise={noise} with realistic=true; noise needs equal support sizes. Leave one out."]
    if noise and sound and not wrong_places(float(noise), shots):
        return [f"Got support_noise={noise}, which is no text of {shots} shots. Raise one of them."]
    return []
