"""The settings of a run that belong to no config group; importing them loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from fewshot.adaptation.ladder import FINAL_STAGES, STAGES
from fewshot.experiment.protocol import Protocol
from fewshot.ranges import BOOLEAN, Range, check_ranges, one_of, outside

METRICS = ("accuracy", "macro_f1", "ece", "valid_accuracy")


@dataclass(frozen=True)
class RunSettings(Protocol):
    """The protocol of a run, and the other settings at the top of its config.

    Args:
        adapter: auto, null, or a name, folder or hub id; auto chooses one where nothing is meta-trained.
        strategy: auto or zero_shot, prototypes, attention, lora, adapter, full.
        final_stage: tuner of each support: auto, none, head or light.
        metric: value of a run: accuracy, macro_f1, ece or valid_accuracy.
        resume: continue from the newest checkpoint of the same training.
        reuse: take what the same meta-training gave before, if it is kept; false trains anew.
        mlflow: write an entry of the run for MLflow.

    Raises:
        ConfigError: names all values that cannot be used, or that do not go together.
    """

    RANGES: ClassVar[dict[str, Range]] = Protocol.RANGES | {
        "adapter": (lambda name: name is None or isinstance(name, str), "a name, or null"),
        "strategy": one_of("auto", *STAGES),
        "final_stage": one_of(*FINAL_STAGES),
        "metric": one_of(*METRICS),
        **dict.fromkeys(("resume", "reuse", "mlflow"), BOOLEAN),
    }

    adapter: str | None = "auto"
    strategy: str = "auto"
    final_stage: str = "auto"
    metric: str = "accuracy"
    resume: bool = False
    reuse: bool = True
    mlflow: bool = False

    def contradictions(self) -> list[str]:
        """See `Protocol.contradictions`."""
        no_texts = self.strategy == "zero_shot" and self.shots != 0
        problems = self.nothing_labelled("strategy=zero_shot", "Leave it out") if no_texts else []
        return problems or super().contradictions()

    @classmethod
    def checked(cls, **values: Any) -> "RunSettings":
        """Settings from values as a user may write them, of any kind: `ways` may be "all", `baselines` a list."""
        values = {field.name: field.default for field in fields(cls)} | values
        values["ways"] = None if values["ways"] == "all" else values["ways"]
        check_ranges(cls.GROUP, cls, values, outside(cls.RANGES, values))
        for name, value in values.items():
            if isinstance(value, Sequence) and not isinstance(value, str):
                values[name] = tuple(value)
            elif type(value) is int and type(getattr(cls, name)) is float:
                values[name] = float(value)  # 1 and 1.0 are one setting
        return cls(**values)

    @property
    def scored(self) -> Protocol:
        """The protocol alone."""
        return Protocol(**{field.name: getattr(self, field.name) for field in fields(Protocol)})
