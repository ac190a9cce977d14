"""Several tasks at once: one projection of the features that all share, and a head for each."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
