"""More shots: the ladder of stages, and the final ones, which tune a head or an encoder on the support itself."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
