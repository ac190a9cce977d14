"""The settings of a run that belong to no config group; importing them loads no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fewshot.adaptation.ladder import FINAL_STAGES, STAGES
from fewshot.errors import ConfigError
from fewshot.experiment.protocol import Protocol, boolean, choice, nothing_labelled

METRICS = ("accuracy", "macro_f1", "ece")
_CHOICES = {"strategy": ("auto", *STAGES), "final_stage": FINAL_STAGES, "metric": METRICS}


@dataclass(frozen=True)
class RunSettings(Protocol):
    """The protocol of a run, and what else stands at the top of its config.

    Args:
        strategy: auto or zero_shot, prototypes, attention, lora, adapter, full.
        final_stage: what tunes on each support: auto or none, head, light.
        metric: what a sweep optimises: accuracy, macro_f1 or ece.
        resume: continue from the newest checkpoint of the same training.

    Raises:
        ConfigError: one line for each value that cannot be used.
    """

    strategy: str = "auto"
    final_stage: str = "auto"
    metric: str = "accuracy"
    resume: bool = False

    @classmethod
    def checked(cls, **values: Any) -> "RunSettings":
        """Settings from values as a user may write them: `ways` may be "all", `baselines` any sequence.

        Raises:
            ConfigError: one line for each setting that cannot be used.
        """
        values = {field.name: field.default for field in fields(cls)} | values
        if problems := cls.problems(values):
            raise ConfigError("\n".join(problems))
        ways = None if values["ways"] == "all" else values["ways"]
        numbers = {name: float(values[name]) for name in ("support_noise", "minutes")}  # 1 and 1.0 are one setting
        return cls(**values | {"ways": ways, "baselines": tuple(values["baselines"])} | numbers)

    @classmethod
    def problems(cls, values: Mapping[str, Any]) -> list[str]:
        """A sentence for each value that cannot be used; see `Protocol.problems`."""
        own = [line for name, choices in _CHOICES.items() for line in choice(name, values[name], choices)]
        if values["strategy"] == "zero_shot" and values["shots"] != 0:
            own += nothing_labelled("strategy=zero_shot", "Leave it out", values)
        return [*super().problems(values), *own, *boolean("resume", values["resume"])]

    @property
    def scored(self) -> Protocol:
        """The protocol alone."""
        return Protocol(**{field.name: getattr(self, field.name) for field in fields(Protocol)})
