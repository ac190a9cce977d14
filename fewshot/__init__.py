"""Few-shot meta-learning for text: a classifier from a handful of labelled texts, with a number to trust."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
