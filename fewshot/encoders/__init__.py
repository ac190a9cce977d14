"""Encoders: text → vector, cached on disk; sentence-transformers models and transformer checkpoints."""

from fewshot.encoders.cache import FeatureCache
from fewshot.encoders.encoder import Encoder
from fewshot.encoders.sentence_transformer import SentenceTransformerEncoder
from fewshot.encoders.trainable import TrainableEncoder, TrainableShare
from fewshot.encoders.transformer import TransformerEncoder

__all__ = [
    "Encoder",
    "FeatureCache",
    "SentenceTransformerEncoder",
    "TrainableEncoder",
    "TrainableShare",
    "TransformerEncoder",
]
