"""Which episodes of which classes an experiment scores; importing this loads no torch."""

from dataclasses import dataclass
from typing import ClassVar

from fewshot.episodes.wrong_labels import wrong_places
from fewshot.errors import ConfigError
from fewshot.learners.names import NAMES
from fewshot.ranges import BOOLEAN, POSITIVE, SHARE, Range, RangedSettings, one_of, or_null, some_of, whole


@dataclass(frozen=True)
class Protocol(RangedSettings):
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
        ConfigError: names all values that cannot be used, or that do not go together.
    """

    GROUP: ClassVar[str] = ""
    RANGES: ClassVar[dict[str, Range]] = {
        "ways": or_null(whole(2), "all"),
        **dict.fromkeys(("shots", "seed"), whole(0)),
        **dict.fromkeys(("queries", "episodes", "test_texts", "supports"), whole(1)),
        **dict.fromkeys(("label_names", "realistic"), BOOLEAN),
        "support_noise": SHARE,
        "baselines": some_of(*NAMES),
        "classes": one_of("test", "all"),
        "protocol": one_of("auto", "sampled", "fixed_test"),
        "minutes": POSITIVE,
    }

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
        super().__post_init__()
        if problems := self.contradictions():
            raise ConfigError("\n".join(problems))

    def contradictions(self) -> list[str]:
        """A sentence for each combination of settings that cannot be used."""
        noise, problems = self.support_noise, [] if self.shots else self.nothing_labelled("shots=0", "Raise shots")
        if noise and self.realistic:
            problems.append(
                f"Got support_noise={noise} with realistic=true; noise needs equal support sizes. Leave one out."
            )
        elif noise and self.shots and not wrong_places(noise, self.shots):
            problems.append(f"Got support_noise={noise}, which is no text of {self.shots} shots. Raise one of them.")
        return problems

    def nothing_labelled(self, got: str, cure: str) -> list[str]:
        """What cannot be used without a labelled text: why there is none, the setting, and what brings some."""
        if not self.label_names:
            return [f"Got {got} with label_names=false, which leaves nothing to go by. {cure}, or use label names."]
        if self.realistic:
            return [f"Got {got} with realistic=true, and there are no texts to share out. Leave one out."]
        if self.support_noise:
            return [f"Got {got} with support_noise={self.support_noise}, and there are no labels. Leave one out."]
        return []
