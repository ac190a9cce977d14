"""The outer loop."""

from fewshot.training.checkpoints import Checkpoints
from fewshot.training.encoder_trainer import EncoderTrainer, QuickEncoderTrainer
from fewshot.training.history import TrainedEncoder, TrainingHistory
from fewshot.training.loop import run_loop
from fewshot.training.loop_settings import LoopSettings
from fewshot.training.meta_trainer import MetaTrainer
from fewshot.training.recorder import TrainingFiles, TrainingFolders

__all__ = [
    "Checkpoints",
    "EncoderTrainer",
    "LoopSettings",
    "MetaTrainer",
    "QuickEncoderTrainer",
    "TrainedEncoder",
    "TrainingFiles",
    "TrainingFolders",
    "TrainingHistory",
    "run_loop",
]
