"""What an experiment found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation import Evaluation
from fewshot.experiment.augmentation import AugmentationResult
from fewshot.experiment.evaluating import Scored
from fewshot.experiment.plan import Plan
from fewshot.meta_model import MetaModel
from fewshot.training import TrainedEncoder, TrainingHistory

# Names of the rows in which the learner is compared with itself.
WITHOUT_AUGMENTATION = "without augmentation"
WITHOUT_FINAL_STAGE = "without the final stage"
WITHOUT_EITHER = "without final stage and augmentation"
ITSELF = (WITHOUT_FINAL_STAGE, WITHOUT_AUGMENTATION, WITHOUT_EITHER)
FROZEN = ", frozen encoder"  # behind the name of a baseline that is the learner on the published encoder


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment found.

    Args:
        plan: the recipe and protocol as the task called for them.
        model: the meta-model that was scored, and that adapts to any support.
        scored: its scores on the test episodes.
        baselines: name → scores on the same episodes; first the learner without the final stage and without
            augmentation, where there are any.
        episodes: the test episodes.
        history: the learner's meta-training.
        encoder_training: the encoder's meta-training, if there was one.
        augmentation: what was made of which texts, if augmentation was asked for.
        timings: phase → seconds.
    """

    plan: Plan
    model: MetaModel
    scored: Scored
    baselines: Mapping[str, Evaluation]
    episodes: EpisodeBatch
    history: TrainingHistory
    encoder_training: TrainedEncoder | None = None
    augmentation: AugmentationResult | None = None
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def evaluation(self) -> Evaluation:
        """The scores of the meta-model."""
        return self.scored.evaluation
