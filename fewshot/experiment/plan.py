"""The plan of a recipe for a task and a protocol: the stage, the final stage, the episodes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from fewshot.adaptation.final_stage import FinalStage, Tuner
from fewshot.adaptation.ladder import Rung
from fewshot.augment.augmenter import SemanticAugmentation
from fewshot.encoders import Encoder, Full, Trainable, check_trainable
from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation.intervals import Drawn, Sample
from fewshot.experiment.protocol import Protocol
from fewshot.learners import Learner
from fewshot.tasks.task import Task
from fewshot.training import EncoderMAMLTrainer, EncoderTrainer, MetaTrainer

GivenAndDefault = tuple[EncoderTrainer | Tuner, EncoderTrainer | Tuner]

# With fewer classes an encoder is trained on too little, and selected by chance.
_TRAIN_CLASSES, _VALID_CLASSES = 10, 5


@dataclass(frozen=True)
class Plan:
    """The parts of a recipe for one task and protocol.

    Args:
        protocol: without `auto`; no shots if label names are used alone.
        encoder: published, or with trained weights.
        chooses_adapter: True if an adapter may be chosen for each support.
        learner: number of features → learner.
        trainer: of learners.
        trainable: the part of the encoder that is meta-trained, or adapted by an inner loop; None is nothing.
        encoder_trainer: trains it.
        augmentation: makes new texts; None makes none.
        max_shots: support texts that a class has, at most; fewer than the shots if no class has so many.
        rung: the stage of the ladder, and why.
        strategy: the stage in the recipe, or `auto`.
        final_stage: tunes on the support of each episode; None tunes nothing.
        notes: a sentence for each changed setting that has no part in this plan.
    """

    protocol: Protocol
    encoder: Encoder
    chooses_adapter: bool
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
    def drawn(self) -> Drawn:
        """The way in which episodes are drawn."""
        assert self.protocol.protocol != "auto"
        return self.protocol.protocol

    def sample(self, episodes: EpisodeBatch) -> Sample:
        """The queries of the episodes as a sample, for confidence intervals."""
        return Sample.of(episodes, self.drawn, other_classes=self.protocol.classes == "test")

    def sentence(self) -> str:
        """The stage and its reason, for a person to read."""
        final = self.final_stage
        then = "" if final is None or final.name == self.rung.name else f", then {final.name}"
        kept = "" if final is None else " on each support, kept where it pays"
        return f"Stage {self.rung.name}{then}{kept}: {self.rung.reason}"


def trainable_part(
    given: Trainable | str, encoder: Encoder, learner: Learner, task: Task, protocol: Protocol
) -> Trainable | None:
    """The part of the encoder that is meta-trained: as given, or for `"auto"` all or nothing.

    It is all if the learner goes by trained prototypes, the task has enough classes to train and to select on, and the
    weights are the published ones.

    Raises:
        ConfigError: weights in 4 bits are to be trained in full.
    """
    if not isinstance(given, str):
        check_trainable(encoder, given)
        return given
    if given == "none" or protocol.classes == "all":
        return None
    enough_classes = len(task.parts["train"]) >= _TRAIN_CLASSES and len(task.parts["valid"]) >= _VALID_CLASSES
    is_published = encoder.HAS_LAYERS and encoder.quantise is None and encoder.trained is None
    return Full() if enough_classes and is_published and learner.by_prototypes and learner.is_meta_trained else None


def unused_settings(plan: Plan, given: Protocol) -> list[str]:
    """A sentence for each setting of the given protocol that is not its default and has no part in the plan."""
    if plan.drawn == "cross_validation":
        why = "which tests every text by cross-validation, all classes at once"
        names = ["ways", "queries", "episodes", "supports", "test_texts"]
    elif plan.drawn == "fixed_test":
        why = "whose test episodes share one test part (test_texts= is its size, supports= how many there are)"
        names = ["queries"] + (["episodes"] if given.episodes > given.supports else [])
    else:
        why = "whose test episodes are sampled (protocol=fixed_test has them share one test part)"
        names = ["supports", "test_texts"]
    reasons = dict.fromkeys(names, why)
    if plan.final_stage is None:
        reasons["minutes"] = "which has no final stage"
    return [
        f"{name}={getattr(given, name)} has no part in this run, {why}"
        for name, why in reasons.items()
        if getattr(given, name) not in (getattr(Protocol, name), None)
    ]


def unused_parts(plan: Plan, given: Trainable | str, parts: Mapping[str, GivenAndDefault]) -> list[str]:
    """A sentence for each part of a recipe that is not its default and has no part in the plan.

    Args:
        plan: the plan, without its notes.
        given: the trainable part in the recipe.
        parts: `encoder_training`, `quick_training` and `adaptation.NAME` → as given, and by default.
    """
    if plan.trainable is None:
        used, why = "", "which does not meta-train the encoder (trainable=full does)"
    elif given == "auto":
        used, why = "quick_training", "where trainable=auto goes by quick_training (full, by encoder_training)"
    else:
        used, why = "encoder_training", f"where trainable={plan.trainable.kind} goes by encoder_training"
    final = None if plan.final_stage is None else plan.final_stage.name
    stage = "which has no final stage" if final is None else f"which has the final stage {final}"
    used_parts = {used} if final is None else {used, f"adaptation.{final}", "adaptation.head"}
    changed = [name for name, pair in parts.items() if len({json.dumps(asdict(part)) for part in pair}) > 1]
    return [
        f"What was set of {name} has no part in this run, {stage if name.startswith('adaptation.') else why}"
        for name in changed
        if name not in used_parts
    ]
