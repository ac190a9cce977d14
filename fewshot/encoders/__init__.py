"""Encoders: text → vector, cached on disk; sentence-transformers models and transformer checkpoints."""

from fewshot.encoders.adapter import Adapter
from fewshot.encoders.cache import FeatureCache
from fewshot.encoders.encoder import Encoder
from fewshot.encoders.layers import Full
from fewshot.encoders.lora import LoRA
from fewshot.encoders.sentence_transformer import SentenceTransformerEncoder
from fewshot.encoders.trainable import Trainable, TrainableEncoder, TrainableShare, check_trainable
from fewshot.encoders.transformer import TransformerEncoder

__all__ = [
    "Adapter",
    "Encoder",
    "FeatureCache",
    "Full",
    "LoRA",
    "SentenceTransformerEncoder",
    "Trainable",
    "TrainableEncoder",
    "TrainableShare",
    "TransformerEncoder",
    "check_trainable",
]
