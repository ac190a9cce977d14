"""Decide on augmentation by the paired gain of each choice on valid classes, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation import Estimate, paired_difference, predict
from fewshot.evaluation.metrics import accuracy
from fewshot.features import TaskFeatures, Variants
from fewshot.learners.learner import Learner
from fewshot.progress import track
from fewshot.ranges import Range, RangedSettings


@dataclass(frozen=True)
class Trial:
    """Sources and weight of the new texts, and the accuracy with them minus that without on the same valid episodes."""

    sources: tuple[str, ...]
    weight: float
    gain: Estimate

    @property
    def lower_bound(self) -> float:
        """The lower end of the 95 % interval of the gain."""
        return self.gain.mean - (self.gain.ci95 if self.gain.ci95 is not None else float("inf"))


@dataclass(frozen=True)
class Decision:
    """The trials, the accuracy on the same episodes without augmentation, and the number of episodes."""

    trials: tuple[Trial, ...]
    accuracy: Estimate
    episodes: int

    @property
    def best(self) -> Trial:
        """The trial with the largest lower bound."""
        return max(self.trials, key=lambda trial: trial.lower_bound)

    @property
    def chosen(self) -> Trial | None:
        """The best trial if its lower bound is above zero; None stands for no augmentation."""
        return self.best if self.best.lower_bound > 0 else None

    def sentence(self) -> str:
        """The decision for a person to read."""
        best, where = self.best, f"on {self.episodes} valid episodes"
        what = f"{' + '.join(best.sources)}, weight {best.weight:g}: {best.gain.percent(sign=True)} points"
        if self.chosen is None:
            tried = f"the best of {len(self.trials)} choices ({what}) is no sure gain {where}"
            return f"No augmentation of the support: {tried}"
        return f"Support augmented by {what} {where}, the best of {len(self.trials)} choices"

    def as_json(self) -> dict[str, Any]:
        """The decision for `results.json`."""
        rows = [{"sources": list(t.sources), "weight": t.weight, "gain": t.gain.as_json()} for t in self.trials]
        return {
            "chosen": None if self.chosen is None else rows[self.trials.index(self.chosen)],
            "sentence": self.sentence(),
            "episodes": self.episodes,
            "accuracy_without": self.accuracy.as_json(),
            "trials": rows,
        }


@dataclass(frozen=True)
class AugmentationPolicy(RangedSettings):
    """Try each source alone and all of them together, with each weight, and take the surest gain or none.

    The choice is the one with the highest lower end of its 95 % interval, and no augmentation if none is above zero. It
    is the best of several on the same episodes, so that its gain is a little too good; the test episodes are fair.

    Args:
        weights: of the new texts of a text together; the text itself has 1.
        episodes: valid episodes, on which every choice is scored.
    """

    GROUP: ClassVar[str] = "augment.policy"
    RANGES: ClassVar[dict[str, Range]] = {
        "weights": (lambda given: len(given) > 0 and min(given) > 0, "numbers above 0 such as [0.25,0.5,1.0]"),
        "episodes": (lambda number: number >= 2, "2 or more, for an interval"),
    }

    weights: Sequence[float] = (0.25, 0.5, 1.0)
    episodes: int = 600

    def choices(self, sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The choices to try: name → sources.

        Example:
            >>> AugmentationPolicy().choices(["synonym", "syntax"])
            {'synonym': ('synonym',), 'syntax': ('syntax',), 'synonym + syntax': ('synonym', 'syntax')}
        """
        return {name: (name,) for name in sources} | {" + ".join(sources): tuple(sources)}

    def decide(
        self,
        learner: Learner,
        features: TaskFeatures,
        episodes: EpisodeBatch,
        variants: Mapping[tuple[str, ...], Variants],
    ) -> Decision:
        """Score every choice on the same episodes of valid classes; `variants`: sources → their new texts."""
        plain = features.without_variants()
        choices = [(sources, float(weight)) for sources in variants for weight in self.weights]
        trials = []
        with torch.no_grad(), track("Deciding on augmentation", total=len(choices), unit="choices") as advance:
            without = accuracy(predict(learner, plain, episodes), episodes.targets)
            for sources, weight in choices:
                augmented = replace(plain, variants=replace(variants[sources], weight=weight))
                scores = accuracy(predict(learner, augmented, episodes), episodes.targets)
                trials.append(Trial(sources, weight, paired_difference(scores, without)))
                advance()
        return Decision(tuple(trials), Estimate.of(without), len(episodes))
