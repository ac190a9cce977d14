"""A fitted classifier as one graph (ONNX, OpenVINO) with its tokenizer, and a runtime for it without torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
