"""Few-shot meta-learning for text: a classifier from a handful of labelled texts, with a number to trust."""
