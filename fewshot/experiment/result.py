"""The result of an experiment."""

from collections.abc import Mapping
from dataclasses import dataclass

from fewshot.episodes.batch import EpisodeBatch
from fewshot.evaluation import Evaluation
from fewshot.experiment.augmentation import AugmentationResult
from fewshot.experiment.evaluating import Scored
from fewshot.experiment.meta_training import MetaTrained
from fewshot.experiment.plan import Plan
from fewshot.features import TaskFeatures
from fewshot.meta_model import MetaModel

# Names of the rows in which the learner is compared with itself.
WITHOUT_AUGMENTATION = "without augmentation"
WITHOUT_FINAL_STAGE = "without the final stage"
WITHOUT_EITHER = "without final stage and augmentation"
ITSELF = (WITHOUT_FINAL_STAGE, WITHOUT_AUGMENTATION, WITHOUT_EITHER)
# Suffixes of a baseline's name if the encoder was trained: on the published weights, or on those of the learner.
FROZEN, TRAINED = ", frozen encoder", ", trained encoder"


@dataclass(frozen=True)
class ExperimentResult:
    """The result of an experiment.

    Args:
        plan: the plan of the recipe and protocol for the task.
        trained: the meta-model, and its trainings.
        scored: its scores on the test episodes.
        baselines: name → scores on the same episodes; first the learner without the final stage and without
            augmentation, if it has them.
        episodes: the test episodes.
        timings: phase → seconds.
        with_half: the learner before tuning, by all texts and by half of them, in a cross-validation.
        features: of the task's texts by the model's encoder; None if the learner reads the texts itself.
    """

    plan: Plan
    trained: MetaTrained
    scored: Scored
    baselines: Mapping[str, Evaluation]
    episodes: EpisodeBatch
    timings: Mapping[str, float]
    with_half: tuple[Evaluation, Evaluation] | None = None
    features: TaskFeatures | None = None

    @property
    def model(self) -> MetaModel:
        """The meta-model."""
        return self.trained.model

    @property
    def evaluation(self) -> Evaluation:
        """Its scores."""
        return self.scored.evaluation

    @property
    def augmentation(self) -> AugmentationResult | None:
        """The augmentation with the new texts of the test supports, if the recipe has one."""
        result = self.trained.augmentation
        return None if result is None else result.with_new_texts(self.scored.new_texts)
