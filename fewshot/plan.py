"""What the ladder means for one run: which stage, what tunes on the support in the end, and on which episodes."""

from dataclasses import dataclass, replace

from fewshot.adaptation.fine_tuner import AdapterTuner, FineTuner, FullTuner, LightTuner
from fewshot.adaptation.head_tuner import HeadTuner
from fewshot.adaptation.ladder import Ladder, Rung
from fewshot.encoders import Encoder, Full, Trainable, check_trainable
from fewshot.episodes.fixed_test import most_support
from fewshot.errors import ConfigError
from fewshot.learners import Learner
from fewshot.preparing import scored_classes
from fewshot.settings import Settings
from fewshot.tasks.task import Task
from fewshot.training import QuickEncoderTrainer

Tuner = HeadTuner | FineTuner
FINE_TUNING = ("lora", "adapter", "full")
QUICK = QuickEncoderTrainer()
# With fewer classes an encoder is trained on too little, and selected by chance.
_TRAIN_CLASSES, _VALID_CLASSES = 10, 5


def default_tuners() -> dict[str, Tuner]:
    """The tuner of each final stage."""
    return {
        "head": HeadTuner(),
        "light": LightTuner(),
        "lora": FineTuner(),
        "adapter": AdapterTuner(),
        "full": FullTuner(),
    }


@dataclass(frozen=True)
class Plan:
    """The stage of a run and what follows from it.

    Args:
        rung: of the ladder.
        asked: `strategy` as it was asked for.
        final_stage: name of what tunes on the support of each episode, or None.
        fixed_test: whether the episodes have one test part, see `fixed_test_episodes`.
    """

    rung: Rung
    asked: str
    final_stage: str | None
    fixed_test: bool

    @classmethod
    def of(cls, settings: Settings, ladder: Ladder, learner: Learner, most: int | None = None) -> "Plan":
        """Follow the ladder, as far as the settings leave it open.

        1. Beside a fixed test part, shots that no class has left do not count.
        2. Stages that fine-tune do so on each support, but for `final_stage=none`.
        3. Where all classes are told apart at once by two texts each or more, there are a few supports, and not six
           hundred small episodes; what goes by prototypes then gives way to a tuned head below those stages.
        4. Where something tunes, where all classes are scored, and for 3, one test part is fixed.

        Args:
            settings: of the run.
            ladder: the borders.
            learner: what is meta-trained.
            most: texts that the largest class has beside a fixed test part; None is as many as there are shots.

        Raises:
            ConfigError: the learner's own inner loop tunes the encoder, and a final stage is asked for as well; or the
                protocol does not go with the other settings.
        """
        plan = cls._on(ladder.rung(settings.shots, settings.strategy), settings, learner)
        if most is None or most >= settings.shots or not plan.fixed_test:
            return plan
        rung = ladder.rung(most, settings.strategy)
        if settings.strategy == "auto":
            rung = replace(rung, reason=f"{rung.reason} No class has more of the {settings.shots} that were asked for.")
        return replace(cls._on(rung, settings, learner), fixed_test=True)

    @classmethod
    def _on(cls, rung: Rung, settings: Settings, learner: Learner) -> "Plan":
        """What a rung of the ladder means for a run."""
        stage = _final_stage(settings, rung, learner)
        if stage is None and rung.name in FINE_TUNING:
            why = "its inner loop tunes the encoder itself" if learner.reads == "tokens" else "final_stage=none"
            rung = replace(rung, reason=f"{rung.reason} Nothing is tuned on the supports ({why}).")
        fixed_test = stage is not None or settings.classes == "all" or _together(settings)
        if settings.protocol != "auto":
            fixed_test = settings.protocol == "fixed_test"
        if fixed_test and settings.realistic:
            raise ConfigError(
                f"Got realistic=true where one test part of the texts is fixed, with supports of equal sizes (stage "
                f"{rung.name}, final stage {stage or 'none'}, classes={settings.classes}). Set realistic=false."
            )
        if not fixed_test and settings.classes == "all":
            raise ConfigError(
                "Got protocol=sampled with classes=all, which is scored on a fixed test part of the texts. Leave one "
                "out."
            )
        return cls(rung, settings.strategy, stage, fixed_test)

    def settings(self, settings: Settings) -> Settings:
        """Settings with what the plan leaves no choice in: no shots where label names stand alone, and the protocol."""
        shots = 0 if self.rung.name == "zero_shot" else settings.shots
        return replace(settings, shots=shots, protocol="fixed_test" if self.fixed_test else "sampled")

    def sentence(self) -> str:
        """What is done and why, for a person to read."""
        then = "" if self.final_stage in (None, self.rung.name) else f", then {self.final_stage}"
        kept = " on each support, kept where it pays" if self.final_stage else ""
        return f"Stage {self.rung.name}{then}{kept}: {self.rung.reason}"


def _final_stage(settings: Settings, rung: Rung, learner: Learner) -> str | None:
    asked = settings.final_stage
    own = rung.name in FINE_TUNING
    if learner.reads == "tokens":
        if asked not in ("auto", "none") or (own and settings.strategy != "auto"):
            raise ConfigError(
                f"Got strategy={settings.strategy} and final_stage={asked} with a learner whose inner loop goes "
                f"through the encoder already. Set learner.adapts=head, or strategy=auto and final_stage=none."
            )
        return None
    if own and settings.strategy != "auto" and asked != "auto":
        raise ConfigError(
            f"Got strategy={settings.strategy} with final_stage={asked}, which are two final stages. Leave one out."
        )
    if asked != "auto":
        return None if asked == "none" else asked
    if own:
        return rung.name
    return "head" if _together(settings) and learner.by_prototypes and rung.name != "zero_shot" else None


def _together(settings: Settings) -> bool:
    """Whether all classes are told apart at once, by texts that something can be tuned on and judged by."""
    sampled = settings.protocol == "sampled" or settings.realistic
    return settings.ways is None and settings.shots >= 2 and settings.strategy != "zero_shot" and not sampled


def most_shots(task: Task, settings: Settings) -> int:
    """Texts that the largest class has for a support, beside a fixed test part."""
    return most_support(task, scored_classes(task, settings), settings.test_texts)


def trains_encoder(
    encoder: Encoder, asked: Trainable | str, settings: Settings, task: Task, learner: Learner
) -> Trainable | None:
    """What of the encoder is meta-trained before the learner: as asked, and for `"auto"` all or nothing.

    All of it where the learner goes by trained prototypes, the task has classes enough to train and to select on, and
    the weights are the published ones.

    Args:
        encoder: the encoder.
        asked: `"auto"`, `"none"`, or what is trained; where the learner's inner loop goes through the encoder, how that
            adapts it.
        settings: of the run.
        task: its train and valid classes.
        learner: whose loss it would be.

    Raises:
        ConfigError: the learner's inner loop adapts something else of the encoder, or weights in 4 bits are to be
            trained in full.
    """
    if not isinstance(asked, str):
        check_trainable(encoder, asked)
        if learner.reads == "features":
            return asked
        if asked.kind != {"lora": "lora", "encoder": "full"}.get(str(learner.arguments["adapts"])):
            raise ConfigError(
                f"Got trainable={asked.kind} with a learner whose inner loop goes through the encoder and trains it "
                f"already. Leave out trainable, or set learner.adapts=head."
            )
        return None
    if asked == "none":
        return None
    enough = len(task.parts["train"]) >= _TRAIN_CLASSES and len(task.parts["valid"]) >= _VALID_CLASSES
    able = learner.by_prototypes and learner.is_meta_trained and learner.reads == "features"
    able = able and encoder.quantise is None and encoder.trained is None
    return Full() if able and enough and settings.classes == "test" else None


def augments(ladder: Ladder, settings: Settings, task: Task, learner: Learner) -> bool:
    """Whether the stage comes with new texts in the support, on which the valid classes decide.

    Args:
        ladder: the borders.
        settings: of the run.
        task: its valid classes decide.
        learner: one that reads tokens can have none.
    """
    attention = Plan.of(settings, ladder, learner, most_shots(task, settings)).rung.name == "attention"
    return attention and settings.classes == "test" and len(task.parts["valid"]) > 1 and learner.reads == "features"
