"""MAML and its relatives: one learner, its settings make the family."""

from fewshot.learners.maml.maml import MAML

__all__ = ["MAML"]
