"""The stage of an experiment on the ladder, its final stage, and the way in which its episodes are drawn."""

from dataclasses import dataclass, replace

from fewshot.adaptation.ladder import FINAL_STAGES, Ladder, Rung
from fewshot.episodes.cross_validation import kept_of
from fewshot.episodes.frozen import max_support
from fewshot.errors import ConfigError
from fewshot.evaluation.intervals import Drawn
from fewshot.experiment.episodes import scored_classes
from fewshot.experiment.protocol import Protocol
from fewshot.tasks.task import Task

FINE_TUNING = ("lora", "adapter", "full")


@dataclass(frozen=True)
class Stages:
    """The stages of an experiment.

    Args:
        rung: the stage, and why.
        final_stage: name of the stage that tunes on each support; None tunes nothing.
        drawn: the way in which episodes are drawn.
        max_shots: support texts that a class has, at most.
    """

    rung: Rung
    final_stage: str | None
    drawn: Drawn
    max_shots: int


@dataclass(frozen=True)
class StageRequest:
    """The settings that decide on the stages, beside the number of texts.

    Args:
        strategy: a stage, or `auto`.
        final_stage: likewise.
        by_prototypes: True if the learner goes by prototypes.
        through_encoder: True if its inner loop goes through the encoder.
        protocol: for the task, see `Protocol.resolved`.
    """

    strategy: str
    final_stage: str
    by_prototypes: bool
    through_encoder: bool
    protocol: Protocol

    def stages(self, ladder: Ladder, task: Task) -> Stages:
        """The stages for a task, by the ladder unless the request fixes them.

        1. Shots count only up to the texts that the largest class has left beside the held-out ones.
        2. Stages that fine-tune do so on each support, unless `final_stage="none"`.
        3. If an episode has all classes, with two texts each or more, there are a few supports instead of six hundred
           small episodes; below the stages that fine-tune, a head is tuned.
        4. If something is tuned, if all classes are scored, and for 3, one test part is fixed, or each text is held
           out in turn.

        Args:
            ladder: the borders.
            task: its scored classes.

        Raises:
            ConfigError: the settings contradict each other.
        """
        self._check()
        shots, classes = self.protocol.shots, scored_classes(task, self.protocol)
        assert shots != "auto"
        stages = self._on(ladder.rung(shots, self.strategy))
        if stages.drawn == "cross_validation":
            sizes = [int((task.labels == label).sum()) for label in classes]
            largest = max(map(kept_of, sizes))
        else:
            largest = max_support(task, classes, self.protocol.test_texts)
        if largest >= shots or stages.drawn == "sampled":
            return stages
        rung = ladder.rung(largest, self.strategy)
        if self.strategy == "auto" and stages.drawn == "fixed_test":
            rung = replace(rung, reason=f"{rung.reason} No class has more of the {shots} that were asked for.")
        return replace(self._on(rung), drawn=stages.drawn, max_shots=largest)

    def _on(self, rung: Rung) -> Stages:
        """The stages on a rung of the ladder."""
        protocol, final = self.protocol, self._final_stage(rung)
        if final is None and rung.name in FINE_TUNING:
            why = "its inner loop tunes the encoder itself" if self.through_encoder else "final_stage=none"
            rung = replace(rung, reason=f"{rung.reason} Nothing is tuned on the supports ({why}).")
        fixed = final is not None or protocol.classes == "all" or self._all_at_once
        drawn: Drawn = "fixed_test" if fixed else "sampled"
        if protocol.protocol != "auto":
            drawn = protocol.protocol
        if drawn != "sampled" and protocol.realistic:
            raise ConfigError(
                f"Got realistic=true with protocol={drawn}, whose supports are not drawn so (stage {rung.name}, final "
                f"stage {final or 'none'}, classes={protocol.classes}). Set realistic=false."
            )
        if drawn == "sampled" and protocol.classes == "all":
            raise ConfigError(
                "Got protocol=sampled with classes=all, which is scored on texts that are held out. Leave one out."
            )
        assert protocol.shots != "auto"
        return Stages(rung, final, drawn, protocol.shots)

    def _final_stage(self, rung: Rung) -> str | None:
        fine_tunes = rung.name in FINE_TUNING
        settings = f"strategy={self.strategy} and final_stage={self.final_stage}"
        if self.through_encoder:
            if self.final_stage not in ("auto", "none") or (fine_tunes and self.strategy != "auto"):
                raise ConfigError(
                    f"Got {settings} with training=through_encoder, whose inner loop tunes the encoder already. Set "
                    f"training=episodic, or strategy=auto and final_stage=none."
                )
            return None
        if fine_tunes and self.strategy != "auto" and self.final_stage != "auto":
            raise ConfigError(f"Got {settings}, which are two final stages. Leave one out.")
        if self.final_stage != "auto":
            return None if self.final_stage == "none" else self.final_stage
        if fine_tunes:
            return rung.name
        return "head" if self._all_at_once and self.by_prototypes and rung.name != "zero_shot" else None

    @property
    def _all_at_once(self) -> bool:
        """True if an episode has all classes, with enough texts to tune on and to hold some out."""
        sampled = self.protocol.protocol == "sampled" or self.protocol.realistic
        several = self.protocol.shots != "auto" and self.protocol.shots >= 2
        return self.protocol.ways is None and several and self.strategy != "zero_shot" and not sampled

    def _check(self) -> None:
        if self.final_stage not in FINAL_STAGES:
            raise ConfigError(
                f"Got final_stage={self.final_stage!r}, expected one of {', '.join(FINAL_STAGES)}. Correct it."
            )
        if self.protocol.shots == 0:
            got, cure = "shots=0", "Raise shots"
        elif self.strategy == "zero_shot":
            got, cure = "strategy=zero_shot", "Leave it out"
        else:
            return
        problems = self.protocol.nothing_labelled(got, cure)
        problems += [
            f"Got {got} with {name}={getattr(self, name)}, which needs labelled texts. {cure}, or write {name}=auto."
            for name, fine in (("final_stage", ("auto", "none")), ("strategy", ("auto", "zero_shot")))
            if getattr(self, name) not in fine
        ]
        if problems:
            raise ConfigError(problems[0])
