"""Tables: read whatever file a practitioner has, find its texts and labels, and write predictions as they come."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
