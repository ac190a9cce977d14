"""Classifiers over HTTP: one process, requests answered in batches."""
