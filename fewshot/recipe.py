"""The recipe of a text classifier: the encoder, the learner, their trainers, augmentation, and the ladder of stages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from fewshot.adaptation.final_stage import FinalStage, Tuner, default_tuners
from fewshot.adaptation.head import HeadTuner
from fewshot.adaptation.ladder import Ladder
from fewshot.augment.augmenter import SemanticAugmentation, StageAugmentation
from fewshot.bank import with_adapter
from fewshot.encoders import Encoder, LoRA, SentenceTransformerEncoder, Trainable
from fewshot.errors import ConfigError
from fewshot.experiment.checks import check_all_scored, check_augmentation, check_task
from fewshot.experiment.meta_training import meta_train
from fewshot.experiment.plan import GivenAndDefault, Plan, trainable_part, unused_parts, unused_settings
from fewshot.experiment.protocol import Protocol
from fewshot.experiment.stages import StageRequest
from fewshot.learners import MAML, AttentionPrototypical, Learner
from fewshot.meta_model import MetaModel
from fewshot.tasks.task import Task
from fewshot.training import EncoderMAMLTrainer, EncoderTrainer, MetaTrainer, QuickEncoderTrainer, Store


@dataclass(frozen=True)
class Recipe:
    """The parts of a classifier and of its trainings.  The defaults are those of `python -m fewshot.run`.

    Args:
        encoder: text → features; the MiniLM weights that come with the install.
        adapter: of the bank, by name, folder or hub id; `"auto"` chooses one for each support if all classes are
            scored, so that nothing is meta-trained, else none; None is none.
        learner: number of features → learner.
        trainable: the part of the encoder that is meta-trained: `"none"`, `LoRA()`, `Adapter()` or `Full()`; `"auto"`
            is `Full()`, briefly, if the learner goes by trained prototypes and the task has enough classes.
        trainer: of the learner. With `EncoderMAMLTrainer` the learner is `MAML`, whose inner loop then goes through
            `trainable` of the encoder; `"auto"` is then `LoRA()`.
        encoder_trainer: of the encoder.
        quick_trainer: of the encoder with `trainable="auto"`.
        augmentation: makes new texts of those of supports, or of the train classes; `"by_stage"` makes some in the
            attention stage of the ladder, if valid classes say that they help; None makes none.
        ladder: the number of shots → stage.
        strategy: the stage; `"auto"` goes by the ladder.
        final_stage: tunes on the support of each episode: `"none"`, `"head"`, `"light"`; `"auto"` goes by the stage.
        tuners: final stage → its tuner, if it is not the default.
    """

    encoder: Encoder = field(default_factory=SentenceTransformerEncoder)
    learner: Callable[[int], Learner] = AttentionPrototypical
    adapter: Path | str | None = "auto"
    trainable: Trainable | Literal["auto", "none"] = "auto"
    trainer: MetaTrainer | EncoderMAMLTrainer = field(default_factory=MetaTrainer)
    encoder_trainer: EncoderTrainer = field(default_factory=EncoderTrainer)
    quick_trainer: EncoderTrainer = field(default_factory=QuickEncoderTrainer)
    augmentation: SemanticAugmentation | Literal["by_stage"] | None = "by_stage"
    ladder: Ladder = field(default_factory=Ladder)
    strategy: str = "auto"
    final_stage: str = "auto"
    tuners: Mapping[str, Tuner] = field(default_factory=dict)

    def plan(self, task: Task, protocol: Protocol | None = None) -> Plan:
        """The plan of this recipe for a task and a protocol; nothing is encoded or trained yet.

        Args:
            task: the task.
            protocol: the episodes and classes; None is the default one.

        Raises:
            TaskError, ConfigError: recipe, task and protocol do not go together.
        """
        given = protocol or Protocol()
        resolved = given.resolved(task)
        check_task(task, resolved)
        probe, through_encoder = self.learner(1), isinstance(self.trainer, EncoderMAMLTrainer)
        request = StageRequest(self.strategy, self.final_stage, probe.by_prototypes, through_encoder, resolved)
        stages = request.stages(self.ladder, task)
        shots = 0 if stages.rung.name == "zero_shot" else resolved.shots
        protocol = replace(resolved, shots=shots, protocol=stages.drawn)
        if isinstance(probe, MAML) and not through_encoder:
            probe.settings.check_on_features()
        encoder = self.encoder if self.adapter in (None, "auto") else with_adapter(self.encoder, self.adapter)
        trainable = trainable_part(self.trainable, encoder, probe, task, protocol)
        augmentation = self._augmentation(stages.rung.name, task, protocol)
        check_all_scored(task, protocol, None if through_encoder else trainable, augmentation)
        if through_encoder:
            trainable = self._inner_loop_part(probe)
        if augmentation is not None:
            check_augmentation(augmentation, task, stages.max_shots, through_encoder)
        trainer = self.trainer
        if not shots and 0 not in trainer.shots:  # test episodes have no support texts, so some of training have none
            trainer = replace(trainer, shots=(0, *trainer.shots))
        encoder_trainer = self.quick_trainer if self.trainable == "auto" else self.encoder_trainer
        if trainable is not None and not through_encoder:
            encoder_trainer.target_texts()  # raises for an unreadable folder before anything is encoded
        tuners = default_tuners() | dict(self.tuners)
        final = None
        if stages.final_stage is not None:
            head = tuners["head"]
            assert isinstance(head, HeadTuner)
            final = FinalStage(stages.final_stage, tuners[stages.final_stage], head)
        chooses = self.adapter == "auto" and protocol.classes == "all" and augmentation is None and not through_encoder
        plan = Plan(
            protocol=protocol,
            encoder=encoder,
            chooses_adapter=chooses,
            learner=self.learner,
            trainer=trainer,
            trainable=trainable,
            encoder_trainer=encoder_trainer,
            augmentation=augmentation,
            max_shots=stages.max_shots,
            rung=stages.rung,
            strategy=self.strategy,
            final_stage=final,
        )
        return replace(plan, notes=(*unused_settings(plan, given), *unused_parts(plan, self.trainable, self._parts())))

    def meta_train(self, task: Task, protocol: Protocol | None = None, store: Store | None = None) -> MetaModel:
        """Meta-train on the train classes of a task, select and calibrate on its valid classes.

        Args:
            task: the task; its test classes are not used.
            protocol: shots, label names and so on; None is the default one.
            store: for checkpoints and events; None keeps none.

        Raises:
            FewshotError: the settings, the task or the encoder cannot be used.
        """
        return meta_train(task, self.plan(task, protocol), store).model

    def _augmentation(self, stage: str, task: Task, protocol: Protocol) -> SemanticAugmentation | None:
        if self.augmentation != "by_stage":
            return self.augmentation
        can_decide = protocol.classes == "test" and len(task.parts["valid"]) > 1
        through_encoder = isinstance(self.trainer, EncoderMAMLTrainer)
        return StageAugmentation() if stage == "attention" and can_decide and not through_encoder else None

    def _inner_loop_part(self, learner: Learner) -> Trainable:
        """The part of the encoder that the inner loop adapts."""
        if not isinstance(learner, MAML):
            raise ConfigError(
                f"Got training=through_encoder with the learner {learner.title!r}, which has no inner loop. Set "
                f"learner=maml, or training=episodic."
            )
        learner.settings.check_through_encoder()
        if self.trainable == "none":
            raise ConfigError(
                "Got training=through_encoder with trainable=none, which leaves nothing of the encoder to adapt. Set "
                "trainable=lora or full, or training=episodic."
            )
        return LoRA() if self.trainable == "auto" else self.trainable

    def _parts(self) -> dict[str, GivenAndDefault]:
        """Parts that a plan may leave out: as given, and by default."""
        tuners = default_tuners()
        return {
            "encoder_training": (self.encoder_trainer, EncoderTrainer()),
            "quick_training": (self.quick_trainer, QuickEncoderTrainer()),
            **{f"adaptation.{name}": (self.tuners.get(name, tuner), tuner) for name, tuner in tuners.items()},
        }
