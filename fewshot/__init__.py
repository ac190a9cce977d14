"""Few-shot meta-learning for text: a classifier from a handful of labelled texts, with a number to trust."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewshot.adaptation import AdaptedClassifier, FineTuner, HeadTuner, LabelledTexts, Ladder, load_adapted
    from fewshot.augment import (
        AugmentationPolicy,
        AugmentRequest,
        Proposal,
        SemanticAugmentation,
        Source,
        augment_texts,
    )
    from fewshot.encoders import (
        Adapter,
        Encoder,
        Full,
        LoRA,
        SentenceTransformerEncoder,
        TrainableEncoder,
        TransformerEncoder,
    )
    from fewshot.episodes.batch import EpisodeBatch
    from fewshot.episodes.noise import corrupt_support
    from fewshot.episodes.sampler import sample_episodes, sample_realistic_episodes
    from fewshot.errors import ConfigError, EncoderError, FewshotError, StorageError, TaskError
    from fewshot.evaluation import Estimate, Evaluation, evaluate, paired_difference
    from fewshot.experiment import ExperimentResult, encode_task, run_experiment
    from fewshot.features import TaskFeatures
    from fewshot.learners import (
        LEARNERS,
        MAML,
        AttentionPrototypical,
        Centroid,
        Learner,
        Logistic,
        Prototypical,
        Ridge,
        Support,
        load_learner,
        save_learner,
    )
    from fewshot.settings import Settings
    from fewshot.tasks import Task, load_bundled, load_folder, load_hub
    from fewshot.training import EncoderTrainer, LoopSettings, MetaTrainer, TrainingFolders, run_loop

# Loaded when first asked for (PEP 562), so that `import fewshot` costs milliseconds and pulls in nothing.
_HOME = {
    "fewshot.adaptation": ("AdaptedClassifier", "FineTuner", "HeadTuner", "LabelledTexts", "Ladder", "load_adapted"),
    "fewshot.augment": (
        "AugmentRequest",
        "AugmentationPolicy",
        "Proposal",
        "SemanticAugmentation",
        "Source",
        "augment_texts",
    ),
    "fewshot.encoders": (
        "Adapter",
        "Encoder",
        "Full",
        "LoRA",
        "SentenceTransformerEncoder",
        "TrainableEncoder",
        "TransformerEncoder",
    ),
    "fewshot.episodes.batch": ("EpisodeBatch",),
    "fewshot.episodes.noise": ("corrupt_support",),
    "fewshot.episodes.sampler": ("sample_episodes", "sample_realistic_episodes"),
    "fewshot.errors": ("ConfigError", "EncoderError", "FewshotError", "StorageError", "TaskError"),
    "fewshot.evaluation": ("Estimate", "Evaluation", "evaluate", "paired_difference"),
    "fewshot.experiment": ("ExperimentResult", "encode_task", "run_experiment"),
    "fewshot.features": ("TaskFeatures",),
    "fewshot.learners": (
        "LEARNERS",
        "MAML",
        "AttentionPrototypical",
        "Centroid",
        "Learner",
        "Logistic",
        "Prototypical",
        "Ridge",
        "Support",
        "load_learner",
        "save_learner",
    ),
    "fewshot.settings": ("Settings",),
    "fewshot.tasks": ("Task", "load_bundled", "load_folder", "load_hub"),
    "fewshot.training": ("EncoderTrainer", "LoopSettings", "MetaTrainer", "TrainingFolders", "run_loop"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "LEARNERS",
    "MAML",
    "AdaptedClassifier",
    "Adapter",
    "AttentionPrototypical",
    "AugmentRequest",
    "AugmentationPolicy",
    "Centroid",
    "ConfigError",
    "Encoder",
    "EncoderError",
    "EncoderTrainer",
    "EpisodeBatch",
    "Estimate",
    "Evaluation",
    "ExperimentResult",
    "FewshotError",
    "FineTuner",
    "Full",
    "HeadTuner",
    "LabelledTexts",
    "Ladder",
    "Learner",
    "LoRA",
    "Logistic",
    "LoopSettings",
    "MetaTrainer",
    "Proposal",
    "Prototypical",
    "Ridge",
    "SemanticAugmentation",
    "SentenceTransformerEncoder",
    "Settings",
    "Source",
    "StorageError",
    "Support",
    "Task",
    "TaskError",
    "TaskFeatures",
    "TrainableEncoder",
    "TrainingFolders",
    "TransformerEncoder",
    "__version__",
    "augment_texts",
    "corrupt_support",
    "encode_task",
    "evaluate",
    "load_adapted",
    "load_bundled",
    "load_folder",
    "load_hub",
    "load_learner",
    "paired_difference",
    "run_experiment",
    "run_loop",
    "sample_episodes",
    "sample_realistic_episodes",
    "save_learner",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("fewshot-text")
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module 'fewshot' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
