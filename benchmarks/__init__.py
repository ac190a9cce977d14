"""Accuracy and speed, side by side, one command each; see `benchmarks/README.md`."""
