"""What an experiment found."""

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
# Behind the name of a baseline, where the encoder was trained: the published weights, or those that the learner has.
FROZEN, TRAINED = ", frozen encoder", ", trained encoder"


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment found.

    Args:
        plan: the recipe and protocol as the task called for them.
        trained: the meta-model that was scored, and that adapts to any support; and how it came about.
        scored: its scores on the test episodes.
        baselines: name → scores on the same episodes; first the learner without the final stage and without
            augmentation, where there are any.
        episodes: the test episodes.
        timings: phase → seconds.
        with_half: the learner before tuning, by all texts and by half of them, in a cross-validation.
        features: of the task's texts by the model's encoder; None where the learner reads the texts itself.
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
        """What was made of which texts, if augmentation was asked for."""
        found = self.trained.augmentation
        return None if found is None else found.with_new_texts(self.scored.new_texts)
