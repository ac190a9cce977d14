"""The outer loop."""

from fewshot.training.meta_trainer import MetaTrainer, TrainingHistory

__all__ = ["MetaTrainer", "TrainingHistory"]
