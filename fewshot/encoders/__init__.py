"""Encoders: text → vector, cached on disk; sentence-transformers models and transformer checkpoints."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
