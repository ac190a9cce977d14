"""Adapters by name: what meta-training on many data sets has learned, beside one base encoder."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
