"""Housekeeping of labelled texts: findings about faults, safe repairs, and masks for personal data."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
