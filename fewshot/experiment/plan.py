"""What a recipe means for a task and a protocol: the stage, the final stage, which episodes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

from fewshot.adaptation.final_stage import FinalStage, Tuner
from fewshot.adaptation.ladder import FINAL_STAGES, Ladder, Rung
from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.encoders import Encoder, Full, Trainable, check_trainable
from fewshot.episodes.fixed_test import max_support
from fewshot.errors import ConfigError
from fewshot.experiment.episodes import scored_classes
from fewshot.experiment.protocol import Protocol, nothing_labelled
from fewshot.learners import Learner
from fewshot.tasks.task import Task
from fewshot.training import EncoderMAMLTrainer, EncoderTrainer, MetaTrainer

FINE_TUNING = ("lora", "adapter", "full")
# With fewer classes an encoder is trained on too little, and selected by chance.
_TRAIN_CLASSES, _VALID_CLASSES = 10, 5


@dataclass(frozen=True)
class Plan:
    """The parts of a recipe as one task and protocol call for them.

    Args:
        protocol: with its choices made: no shots where label names stand alone; sampled episodes or a fixed test part.
        encoder: as published, or with trained weights of its own.
        learner: number of features → learner.
        trainer: of learners.
        trainable: which part of the encoder is meta-trained, or adapted by an inner loop; None is nothing.
        encoder_trainer: trains it.
        augmentation: makes new texts; None makes none.
        max_shots: support texts that a class has, at most; fewer than the shots where no class has so many.
        rung: the stage of the ladder, and why.
        strategy: the stage that was asked for, or `auto`.
        final_stage: tunes on the support of each episode; None tunes nothing.
        notes: settings that somebody changed and that have no part in this plan, a sentence each.
    """

    protocol: Protocol
    encoder: Encoder
    learner: Callable[[int], Learner]
    trainer: MetaTrainer | EncoderMAMLTrainer
    trainable: Trainable | None
    encoder_trainer: EncoderTrainer
    augmentation: SemanticAugmentation | None
    max_shots: int
    rung: Rung
    strategy: str
    final_stage: FinalStage | None
    notes: tuple[str, ...] = ()

    @property
    def fixed_test(self) -> bool:
        """Whether all episodes have one test part."""
        return self.protocol.protocol == "fixed_test"

    def sentence(self) -> str:
        """The stage and its reason, for a person to read."""
        final = self.final_stage
        then = "" if final is None or final.name == self.rung.name else f", then {final.name}"
        kept = "" if final is None else " on each support, kept where it pays"
        return f"Stage {self.rung.name}{then}{kept}: {self.rung.reason}"


@dataclass(frozen=True)
class Stages:
    """What the ladder says.

    Args:
        rung: the stage.
        final_stage: name of the stage that tunes on each support; None tunes nothing.
        fixed_test: whether all episodes have one test part.
        max_shots: support texts that a class has, at most.
    """

    rung: Rung
    final_stage: str | None
    fixed_test: bool
    max_shots: int


def stages(
    ladder: Ladder,
    strategy: str,
    final_stage: str,
    learner: Learner,
    through_encoder: bool,
    protocol: Protocol,
    task: Task,
) -> Stages:
    """Follow the ladder, as far as the settings leave it open.

    1. Beside a fixed test part, shots that no class has left do not count.
    2. Stages that fine-tune do so on each support, but for `final_stage="none"`.
    3. Where all classes are told apart at once by two texts each or more, there are a few supports, and not six
       hundred small episodes; prototypes then give way to a tuned head below those stages.
    4. Where something tunes, where all classes are scored, and for 3, one test part is fixed.

    Args:
        ladder: the borders.
        strategy: the stage that is asked for, or `auto`.
        final_stage: likewise.
        learner: what is meta-trained.
        through_encoder: whether its inner loop goes through the encoder.
        protocol: as it was asked for.
        task: its scored classes.

    Raises:
        ConfigError: the settings contradict each other.
    """
    if final_stage not in FINAL_STAGES:
        raise ConfigError(f"Got final_stage={final_stage!r}, expected one of {', '.join(FINAL_STAGES)}. Correct it.")
    _check_labelled(strategy, final_stage, protocol)
    asked = _Asked(strategy, final_stage, learner.by_prototypes, through_encoder, protocol)
    found = _on(ladder.rung(protocol.shots, strategy), asked)
    largest = max_support(task, scored_classes(task, protocol), protocol.test_texts)
    if largest >= protocol.shots or not found.fixed_test:
        return found
    rung = ladder.rung(largest, strategy)
    if strategy == "auto":
        rung = replace(rung, reason=f"{rung.reason} No class has more of the {protocol.shots} that were asked for.")
    return replace(_on(rung, asked), fixed_test=True, max_shots=largest)


def trainable_part(
    asked: Trainable | str, encoder: Encoder, learner: Learner, task: Task, protocol: Protocol
) -> Trainable | None:
    """Which part of the encoder is meta-trained: as it was asked for, and for `"auto"` all or nothing.

    All of it where the learner goes by trained prototypes, the task has classes enough to train and to select on, and
    the weights are the published ones.

    Args:
        asked: `"auto"`, `"none"`, or the part.
        encoder: the encoder.
        learner: whose loss it would be.
        task: its train and valid classes.
        protocol: which classes are scored.

    Raises:
        ConfigError: weights in 4 bits are to be trained in full.
    """
    if not isinstance(asked, str):
        check_trainable(encoder, asked)
        return asked
    if asked == "none" or protocol.classes == "all":
        return None
    enough = len(task.parts["train"]) >= _TRAIN_CLASSES and len(task.parts["valid"]) >= _VALID_CLASSES
    able = learner.by_prototypes and learner.is_meta_trained and encoder.quantise is None and encoder.trained is None
    return Full() if able and enough else None


def unused_settings(plan: Plan, asked: Protocol) -> list[str]:
    """A sentence for each setting of the protocol that is not its default and has no part in the plan.

    Args:
        plan: the plan, without its notes.
        asked: the protocol as it was asked for.
    """
    if plan.fixed_test:
        why = "whose test episodes share one test part (test_texts= is its size, supports= how many there are)"
        names = ["queries"] + (["episodes"] if asked.episodes > asked.supports else [])
    else:
        why = "whose test episodes are sampled (protocol=fixed_test has them share one test part)"
        names = ["supports", "test_texts"]
    reasons = dict.fromkeys(names, why)
    if plan.final_stage is None:
        reasons["minutes"] = "which has no final stage"
    return [
        f"{name}={getattr(asked, name)} has no part in this run, {why}"
        for name, why in reasons.items()
        if getattr(asked, name) != getattr(Protocol, name)
    ]


def unused_parts(
    plan: Plan,
    asked: Trainable | str,
    trainers: Mapping[str, tuple[EncoderTrainer, EncoderTrainer]],
    tuners: Mapping[str, tuple[Tuner, Tuner]],
) -> list[str]:
    """A sentence for each part of a recipe that is not its default and has no part in the plan.

    Args:
        plan: the plan, without its notes.
        asked: the trainable part as it was asked for.
        trainers: `encoder_training` and `quick_training` → as given, and by default.
        tuners: final stage → likewise.
    """
    if plan.trainable is None:
        used, why = "", "which does not meta-train the encoder (trainable=full does)"
    elif asked == "auto":
        used, why = "quick_training", "where trainable=auto goes by quick_training (full, by encoder_training)"
    else:
        used, why = "encoder_training", f"where trainable={plan.trainable.kind} goes by encoder_training"
    reasons = {name: why for name, pair in trainers.items() if name != used and _differ(*pair)}
    final = None if plan.final_stage is None else plan.final_stage.name
    stage = "has no final stage" if final is None else f"has the final stage {final}"
    for name, pair in tuners.items():
        if (final is None or name not in (final, "head")) and _differ(*pair):
            reasons[f"adaptation.{name}"] = f"which {stage}"
    return [f"What was set of {name} has no part in this run, {why}" for name, why in reasons.items()]


def _differ(given: EncoderTrainer | Tuner, default: EncoderTrainer | Tuner) -> bool:
    return json.dumps(asdict(given)) != json.dumps(asdict(default))  # a list is like a tuple


def _check_labelled(strategy: str, final_stage: str, protocol: Protocol) -> None:
    if protocol.shots == 0:
        got, cure = "shots=0", "Raise shots"
    elif strategy == "zero_shot":
        got, cure = "strategy=zero_shot", "Leave it out"
    else:
        return
    problems = nothing_labelled(got, cure, vars(protocol))
    for name, value, fine in (
        ("final_stage", final_stage, ("auto", "none")),
        ("strategy", strategy, ("auto", "zero_shot")),
    ):
        if value not in fine:
            problems.append(f"Got {got} with {name}={value}, which needs labelled texts. {cure}, or write {name}=auto.")
    if problems:
        raise ConfigError(problems[0])


@dataclass(frozen=True)
class _Asked:
    """What decides beside the rung of the ladder."""

    strategy: str
    final_stage: str
    by_prototypes: bool
    through_encoder: bool
    protocol: Protocol

    @property
    def together(self) -> bool:
        """Whether all classes are told apart at once, by texts that suffice to tune on and to hold some out."""
        sampled = self.protocol.protocol == "sampled" or self.protocol.realistic
        return self.protocol.ways is None and self.protocol.shots >= 2 and self.strategy != "zero_shot" and not sampled


def _on(rung: Rung, asked: _Asked) -> Stages:
    """What a rung of the ladder means for an experiment."""
    protocol = asked.protocol
    final = _final_stage(rung, asked)
    if final is None and rung.name in FINE_TUNING:
        why = "its inner loop tunes the encoder itself" if asked.through_encoder else "final_stage=none"
        rung = replace(rung, reason=f"{rung.reason} Nothing is tuned on the supports ({why}).")
    fixed_test = final is not None or protocol.classes == "all" or asked.together
    if protocol.protocol != "auto":
        fixed_test = protocol.protocol == "fixed_test"
    if fixed_test and protocol.realistic:
        raise ConfigError(
            f"Got realistic=true where one test part of the texts is fixed, with supports of equal sizes (stage "
            f"{rung.name}, final stage {final or 'none'}, classes={protocol.classes}). Set realistic=false."
        )
    if not fixed_test and protocol.classes == "all":
        raise ConfigError(
            "Got protocol=sampled with classes=all, which is scored on a fixed test part of the texts. Leave one out."
        )
    return Stages(rung, final, fixed_test, protocol.shots)


def _final_stage(rung: Rung, asked: _Asked) -> str | None:
    own = rung.name in FINE_TUNING
    if asked.through_encoder:
        if asked.final_stage not in ("auto", "none") or (own and asked.strategy != "auto"):
            raise ConfigError(
                f"Got strategy={asked.strategy} and final_stage={asked.final_stage} with training=through_encoder, "
                f"whose inner loop tunes the encoder already. Set training=episodic, or strategy=auto and "
                f"final_stage=none."
            )
        return None
    if own and asked.strategy != "auto" and asked.final_stage != "auto":
        raise ConfigError(
            f"Got strategy={asked.strategy} with final_stage={asked.final_stage}, which are two final stages. Leave "
            f"one out."
        )
    if asked.final_stage != "auto":
        return None if asked.final_stage == "none" else asked.final_stage
    if own:
        return rung.name
    return "head" if asked.together and asked.by_prototypes and rung.name != "zero_shot" else None
