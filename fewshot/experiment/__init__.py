"""Experiments: a recipe on a task by a protocol, in phases that take and return immutable values."""
