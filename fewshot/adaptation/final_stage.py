"""The final stage: tune a head or the encoder on a support, and keep the learner's own classifier if that is better."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from fewshot.adaptation.fine_tuner import FineTuner
from fewshot.adaptation.head import HeadTuner
from fewshot.adaptation.ladder import Ladder
from fewshot.encoders import Adapter, Encoder, Full, Trainable
from fewshot.episodes.batch import EpisodeBatch
from fewshot.episodes.labelled import LabelledTexts
from fewshot.evaluation.evaluate import held_out_accuracy
from fewshot.features import TaskFeatures
from fewshot.learners import Learner
from fewshot.text_classifier import TextClassifier
from fewshot.training.store import Store

log = logging.getLogger(__name__)

Tuner = HeadTuner | FineTuner
MAX_LOGITS = 50_000_000  # of a support, that a head is tuned on
UNTUNED = ("prototypes", "zero_shot")  # stages in which the learner's own classifier stays


@dataclass(frozen=True)
class FinalStage:
    """A final stage by name: its tuner, and the tuner of the head that a tuned encoder has to beat."""

    name: str
    tuner: Tuner
    head: HeadTuner = field(default_factory=HeadTuner)

    def tune(
        self,
        untuned: TextClassifier,
        learner: Learner,
        support: LabelledTexts,
        features: TaskFeatures,
        episode: EpisodeBatch,
        seed: int = 0,
        store: Store | None = None,
    ) -> TextClassifier:
        """The classifier tuned on a support if it beats prototypes and the learner on held-out texts, else `untuned`.

        Args:
            untuned: the learner's classifier for this support.
            learner: calibrated; tuning starts from its projection if it goes by prototypes.
            support, features, episode: all labelled texts, their features, and the same as an episode over these.
            seed: root seed.
            store: for checkpoints and events of trainings; None keeps none.
        """
        start = learner if learner.by_prototypes else None
        if isinstance(self.tuner, HeadTuner):
            tuned = self.tuner.fit(untuned.encoder, support, start, seed)
        else:
            files = None
            if store is not None and store.keeps_trainings:
                determining = {
                    "encoder": untuned.encoder.fingerprint,
                    "learner": None if start is None else _digest(start),
                    "support": [list(support.texts), support.classes.tolist(), support.label_names],
                    "training": self.tuner.determining(),
                    "head": asdict(self.head),
                    "seed": seed,
                }
                files = store.files(f"adaptation-{self.name}", determining)
            tuned = self.tuner.fit(untuned.encoder, support, start, seed, self.head, files)
        stage = str(tuned.details["stage"])
        if stage in UNTUNED:
            return replace(untuned, details=tuned.details)
        # If the tuned encoder did not beat the head, the result is the head, whose accuracy is that from before.
        head_alone = stage == "head" and isinstance(self.tuner, FineTuner)
        accuracy = tuned.details["held_out"]["before" if head_alone else "after"]
        untuned_accuracy = held_out_accuracy(learner, features, episode, self.tuner.splits(support, seed))
        better = untuned_accuracy <= accuracy
        stage = UNTUNED[0] if not better else stage if head_alone else self.name
        details = {**tuned.details, "stage": stage, "learner_held_out": untuned_accuracy}
        return replace(tuned if better else untuned, details=details)


def _digest(learner: Learner) -> str:
    """A hash of the weights from which tuning starts."""
    digest = hashlib.sha256(type(learner).__name__.encode())
    for name, value in learner.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class AdapterTuner(FineTuner):
    """Bottleneck adapters, which like LoRA start at zero: its defaults."""

    trainable: Trainable = field(default_factory=Adapter)


@dataclass(frozen=True)
class FullTuner(FineTuner):
    """All weights, with more than 500 texts per class."""

    trainable: Trainable = field(default_factory=Full)
    steps: int = 1500
    learning_rate: float = 1e-4  # all weights are updated at once: a twentieth of the rate of LoRA
    held_out: float = 0.1
    max_held_out: int = 50  # a tenth of the 500 texts from which on this stage runs by itself


@dataclass(frozen=True)
class LightTuner(FineTuner):
    """A light contrastive tuning of all weights, for 2 to 50 texts per class: a minute or two on a CPU.

    Few texts make many pairs: Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts" (SetFit),
    https://arxiv.org/abs/2209.11055.
    """

    trainable: Trainable = field(default_factory=Full)
    steps: int = 100
    epochs: float = 5.0
    max_evaluations: int = 2  # each says how many steps are worth taking
    batch: int = 64  # the contrastive term learns from all pairs in it
    per_class: int = 2  # each text has a partner
    learning_rate: float = 5e-5  # at 2e-4 few texts are learnt by heart before anything is gained
    head_learning_rate: float = 3e-3
    contrastive_weight: float = 1.0
    folds: int = 2  # a fifth of few texts is too little to learn without or to compare on
    interpolation: Sequence[float] = (1.0,)  # unused with folds
    margin: float = 1.0  # with few texts luck weighs more


def by_ladder(ladder: Ladder, support: LabelledTexts, learner: Learner, encoder: Encoder) -> FinalStage | None:
    """The final stage of a support with all classes: the ladder's stage for the largest class.

    Below the stages that fine-tune the encoder, and for an encoder without layers, a head is tuned if a class has two
    texts and the learner goes by prototypes. With thousands of classes and tens of thousands of texts nothing is tuned.
    """
    if len(support.texts) * len(support.labels) > MAX_LOGITS:
        log.info(f"{len(support.texts):,} texts of {len(support.labels):,} classes are too many to tune on: prototypes")
        return None
    largest = int(support.counts.max())
    name: str = ladder.rung(largest).name
    if name not in ("lora", "full") or not encoder.HAS_LAYERS:
        if largest < 2 or not learner.by_prototypes:
            return None
        name = "head"
    return FinalStage(name, default_tuners()[name])


def default_tuners() -> dict[str, Tuner]:
    """Name of a final stage → its tuner."""
    return {
        "head": HeadTuner(),
        "light": LightTuner(),
        "lora": FineTuner(),
        "adapter": AdapterTuner(),
        "full": FullTuner(),
    }
