"""Housekeeping of labelled texts: what is wrong with them, what can be repaired safely, and masks for personal data."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
