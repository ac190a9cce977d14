"""New texts from few: sources that propose them, and the filter that keeps what still means the same."""

from fewshot.augment.adversarial import Adversarial
from fewshot.augment.augmenter import SemanticAugmentation, StageAugmentation
from fewshot.augment.policy import AugmentationPolicy, Decision
from fewshot.augment.semantic_filter import SemanticFilter
from fewshot.augment.source import AugmentRequest, Proposal, Source
from fewshot.augment.texts import AugmentedText, augment_texts

__all__ = [
    "Adversarial",
    "AugmentRequest",
    "AugmentationPolicy",
    "AugmentedText",
    "Decision",
    "Proposal",
    "SemanticAugmentation",
    "SemanticFilter",
    "Source",
    "StageAugmentation",
    "augment_texts",
]
