"""The episodes and classes that an experiment scores; importing this loads no torch."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from fewshot.episodes.wrong_labels import wrong_places
from fewshot.errors import ConfigError
from fewshot.learners.names import NAMES
from fewshot.ranges import BOOLEAN, POSITIVE, SHARE, Range, RangedSettings, one_of, or_null, or_word, some_of, whole

if TYPE_CHECKING:
    from fewshot.tasks.task import Task

FEW = 5  # shots of an episode with `shots="auto"`


@dataclass(frozen=True)
class Protocol(RangedSettings):
    """The episodes of an experiment.

    With `auto` a task that has a class split is scored on its test classes, and any other on all its classes by
    cross-validation, in which every text is tested and, if `shots` bounds none, every other one is learned from.

    Args:
        ways: classes per test episode, or all (in Python None).
        shots: texts per class; 0: names alone; auto: 5, or all if crossed.
        queries: texts to classify per class.
        episodes: test episodes.
        label_names: use the names of the classes as evidence.
        realistic: unequal support sizes, at most ways * shots texts in all.
        support_noise: share of wrong labels in the test support.
        seed: of meta-training; test episodes do not depend on it.
        baselines: learners scored on the same episodes.
        classes: scored: test, or all; auto: test if the task has a split.
        protocol: auto, sampled, fixed_test, or cross_validation of all.
        test_texts: of each class in the fixed test part, at most.
        supports: how many are drawn beside the fixed test part.
        minutes: after them the final stage begins no further support.

    Raises:
        ConfigError: names all values that cannot be used, or that do not go together.
    """

    GROUP: ClassVar[str] = ""
    RANGES: ClassVar[dict[str, Range]] = {
        "ways": or_null(whole(2), "all"),
        "shots": or_word("auto", whole(0)),
        "seed": whole(0),
        **dict.fromkeys(("queries", "test_texts", "supports"), whole(1)),
        "episodes": whole(1, 1_000_000),
        **dict.fromkeys(("label_names", "realistic"), BOOLEAN),
        "support_noise": SHARE,
        "baselines": some_of(*NAMES),
        "classes": one_of("auto", "test", "all"),
        "protocol": one_of("auto", "sampled", "fixed_test", "cross_validation"),
        "minutes": POSITIVE,
    }

    ways: int | None = 5
    shots: int | Literal["auto"] = "auto"
    queries: int = 15
    episodes: int = 600
    label_names: bool = True
    realistic: bool = False
    support_noise: float = 0.0
    seed: int = 0
    baselines: tuple[str, ...] = ("centroid", "logistic", "ridge")
    classes: Literal["auto", "test", "all"] = "auto"
    protocol: Literal["auto", "sampled", "fixed_test", "cross_validation"] = "auto"
    test_texts: int = 40
    supports: int = 5
    minutes: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if problems := self.contradictions():
            raise ConfigError("\n".join(problems))

    def resolved(self, task: "Task") -> "Protocol":
        """This protocol for a task, without `auto` except in `protocol`, which depends on the stage.

        All classes of a task without a class split are scored, by cross-validation with all ways.
        """
        classes = self.classes if self.classes != "auto" else "test" if task.has_split else "all"
        drawn = (
            "cross_validation" if self.protocol == "auto" and classes == "all" and not task.has_split else self.protocol
        )
        if drawn != "cross_validation":
            return replace(self, classes=classes, shots=FEW if self.shots == "auto" else self.shots)
        scored = task.parts["test"] if classes == "test" else range(len(task.classes))
        sizes = [int((task.labels == label).sum()) for label in scored]
        shots = max(sizes) if self.shots == "auto" else self.shots
        return replace(self, classes=classes, protocol=drawn, ways=None, shots=shots)

    def contradictions(self) -> list[str]:
        """A sentence for each combination of settings that cannot be used."""
        noise, problems = self.support_noise, [] if self.shots else self.nothing_labelled("shots=0", "Raise shots")
        shots = FEW if self.shots == "auto" else self.shots
        if noise and self.realistic:
            problems.append(
                f"Got support_noise={noise} with realistic=true; noise needs equal support sizes. Leave one out."
            )
        elif noise and shots and not wrong_places(noise, shots):
            problems.append(f"Got support_noise={noise}, which is no text of {shots} shots. Raise one of them.")
        return problems

    def nothing_labelled(self, got: str, cure: str) -> list[str]:
        """A sentence on a setting that contradicts supports without labelled texts.

        Args:
            got: the setting that leaves no labelled text.
            cure: the change that brings some.
        """
        if not self.label_names:
            return [f"Got {got} with label_names=false, which leaves nothing to go by. {cure}, or use label names."]
        if self.realistic:
            return [f"Got {got} with realistic=true, and there are no texts to share out. Leave one out."]
        if self.support_noise:
            return [f"Got {got} with support_noise={self.support_noise}, and there are no labels. Leave one out."]
        return []
