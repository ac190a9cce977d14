"""The outer loop."""

from fewshot.training.checkpoints import Checkpoints
from fewshot.training.encoder_maml_trainer import EncoderMAMLTrainer
from fewshot.training.encoder_trainer import EncoderTrainer, QuickEncoderTrainer
from fewshot.training.history import TrainedEncoder, TrainingHistory
from fewshot.training.loop import run_loop
from fewshot.training.loop_settings import LoopSettings
from fewshot.training.meta_trainer import MetaTrainer
from fewshot.training.store import Store, TrainingFiles

__all__ = [
    "Checkpoints",
    "EncoderMAMLTrainer",
    "EncoderTrainer",
    "LoopSettings",
    "MetaTrainer",
    "QuickEncoderTrainer",
    "Store",
    "TrainedEncoder",
    "TrainingFiles",
    "TrainingHistory",
    "run_loop",
]
